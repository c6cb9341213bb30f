// result.json of a pipeline's stages is believed only if it is what was written.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readFinished, writeFinished } from "../src/commands/finished-stage.ts";

test("a_result_that_was_changed_is_refused_and_one_of_before_seals_is_read", () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-finished-"));
  const path = join(dir, "result.json");
  expect(readFinished(dir)).toBeUndefined();
  const result = { step: 12, outputs: { checkpoint: "/runs/a/checkpoints/step-000012" } };
  writeFinished(dir, { ...result, status: "completed" } as typeof result);
  expect(readFinished(dir)).toEqual(result);
  const saved = readFileSync(path);
  const corrupt = expect.objectContaining({
    code: "stage_result_corrupt",
    exitCode: 3,
    what: expect.stringContaining("result.json"),
  });
  for (let at = 0; at < saved.length; at++) {
    const flipped = Buffer.from(saved);
    flipped[at]! ^= 1 << (at % 8);
    writeFileSync(path, flipped);
    expect(() => readFinished(dir), `byte ${at}`).toThrowError(corrupt);
  }
  for (const text of [
    "",
    "null",
    "[]",
    '{"step":12}',
    '{"step":1.5,"outputs":{}}',
    '{"step":1,"outputs":{"a":1}}',
  ]) {
    writeFileSync(path, text);
    expect(() => readFinished(dir), text).toThrowError(corrupt);
  }
  writeFileSync(path, JSON.stringify(result));
  expect(readFinished(dir)).toEqual(result);
  rmSync(dir, { recursive: true });
});
