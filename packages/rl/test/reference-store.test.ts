// Which reference policy a resumed run holds on to.
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ReferenceStore } from "../src/stages/grpo/reference-store.ts";

test("the_reference_in_force_is_found_and_a_lost_one_is_an_error", () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-reference-"));
  for (const step of ["step-000003", "step-000006"]) {
    mkdirSync(join(dir, step));
    writeFileSync(join(dir, step, "state.json"), "{}");
  }
  const store = new ReferenceStore(dir);
  expect(store.at(2, 3)).toBeUndefined();
  expect(store.at(5, 3)).toBe(join(dir, "step-000003"));
  expect(store.at(6, 3)).toBe(join(dir, "step-000006"));
  expect(store.at(6, 0), "no reference is ever taken").toBeUndefined();
  const lost = expect.objectContaining({ code: "reference_missing", exitCode: 3 });
  expect(() => store.at(10, 3)).toThrow(lost);
  expect(() => new ReferenceStore(join(dir, "gone")).at(3, 3)).toThrow(lost);
});

test("references_that_no_kept_checkpoint_was_held_to_are_removed", () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-reference-"));
  for (const step of [2, 4, 6, 8, 10]) {
    const path = join(dir, `step-${String(step).padStart(6, "0")}`);
    mkdirSync(path);
    writeFileSync(join(path, "state.json"), "{}");
  }
  // The best checkpoint is of step 5, the newest of step 9; 10 was taken after it.
  new ReferenceStore(dir).prune([5, 9]);
  expect(readdirSync(dir).sort()).toEqual(["step-000004", "step-000008", "step-000010"]);
});
