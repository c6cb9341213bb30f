// What a checkpoint holds is checked by form, by the data and by the step before it is taken up; rows are synced before it counts them.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { markProgress, openStageContext, progressFields, readProgress, ShuffledOrder } from "../src/index.ts";

const calls: string[] = [];
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const paths = new Map<number, string>();
  return {
    ...fs,
    openSync: (path: string, flags: string) => {
      const fd = fs.openSync(path, flags);
      paths.set(fd, String(path));
      return fd;
    },
    fsyncSync: (fd: number) => {
      calls.push(`sync ${paths.get(fd)?.split("/").at(-1)}`);
      fs.fsyncSync(fd);
    },
    renameSync: (from: string, to: string) => {
      calls.push(`rename ${to.split("/").at(-1)}`);
      fs.renameSync(from, to);
    },
  };
});

const root = mkdtempSync(join(tmpdir(), "nsa-saved-"));
afterAll(() => rmSync(root, { recursive: true }));

test.each<[string, unknown, RegExp]>([
  ["null", null, /must be an object/],
  ["a text for a number", { epoch: 0, index: "1" }, /index: it must be a number, and is "1"/],
  ["half a place", { epoch: 0, index: 1.5 }, /index: it must be a whole number, and is 1.5/],
  ["a place before the first", { epoch: 0, index: -1 }, /index: it must be at least 0, and is -1/],
  ["a place behind the last", { epoch: 0, index: 5 }, /index: it must be at most 4, and is 5/],
  ["a negative epoch", { epoch: -1, index: 0 }, /epoch/],
  ["nothing", {}, /epoch/],
  ["more than there is", { epoch: 0, index: 0, seed: 3 }, /seed|key/],
])("a_place_in_an_order_that_is_%s_is_refused", (_, state, why) => {
  const order = new ShuffledOrder(5, 1, 2);
  expect(() => order.load(state)).toThrow(expect.objectContaining({ code: "state_invalid", exitCode: 3 }));
  expect(() => order.load(state)).toThrow(why);
});

test("an_order_of_another_number_of_examples_is_refused_and_one_of_before_that_was_saved_is_taken", () => {
  const order = new ShuffledOrder(5, 1, 2);
  order.take();
  expect(order.save()).toEqual({ epoch: 0, index: 1, of: 5 });
  const more = new ShuffledOrder(6, 1, 2);
  expect(() => more.load(order.save())).toThrow(
    expect.objectContaining({ code: "data_changed", exitCode: 3 }),
  );
  expect(() => more.load(order.save())).toThrow(/6 examples, and the checkpoint was saved with 5/);
  const resumed = new ShuffledOrder(5, 1, 2);
  resumed.load({ epoch: 0, index: 1 });
  expect(Array.from({ length: 12 }, () => resumed.take())).toEqual(
    Array.from({ length: 12 }, () => order.take()),
  );
});

const schema = z.strictObject({ ...progressFields, of: z.number() });

function run(name: string) {
  const runDir = join(root, name);
  mkdirSync(runDir);
  return openStageContext({ runDir, now: () => 0 });
}

test("rows_are_on_the_disk_before_the_progress_that_counts_them", async () => {
  const context = run("order");
  context.emit({ type: "step", step: 1, totalSteps: 2, metrics: { a: 1 } });
  context.samples.append({ step: 1, text: "x" });
  calls.length = 0;
  markProgress(context, { step: 1, of: 2 });
  const at = (call: string) => calls.indexOf(call);
  expect(at("rename state.json")).toBeGreaterThan(0);
  for (const file of ["metrics.jsonl", "samples.jsonl"]) {
    expect(at(`sync ${file}`), file).toBeGreaterThanOrEqual(0);
    expect(at(`sync ${file}`), file).toBeLessThan(at("rename state.json"));
  }
  await context.close();
});

test("progress_that_was_changed_is_refused_and_that_of_before_it_was_sealed_is_taken", async () => {
  const context = run("changed");
  markProgress(context, { step: 3, of: 9 });
  const dir = join(context.runDir, "checkpoints", "step-000003");
  const path = join(dir, "state.json");
  const text = readFileSync(path, "utf8");
  expect(readProgress(dir, schema)).toMatchObject({ step: 3, of: 9 });
  const refused = expect.objectContaining({ code: "checkpoint_corrupt", exitCode: 3 });
  const edits = [
    text.replace("9", "8"),
    text.replace("3", "4"),
    "null",
    "",
    "[]",
    `${text} `,
    text.replace('"of"', '"off"'),
  ];
  for (const edit of edits) {
    writeFileSync(path, edit);
    expect(() => readProgress(dir, schema), edit).toThrow(refused);
  }
  writeFileSync(path, '{"step":3,"of":9}');
  expect(readProgress(dir, schema)).toEqual({ step: 3, of: 9 });
  writeFileSync(path, '{"step":4,"of":9}');
  expect(() => readProgress(dir, schema)).toThrow(/counts 4 steps, and its name 3/);
  await context.close();
});
