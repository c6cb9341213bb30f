// Of the checkpoints of a run, the one with the best held-out figure outlives newer ones.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { grpoRuns, makeBase } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-best-"));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
});
afterAll(() => rmSync(root, { recursive: true }));

test("the_checkpoint_with_the_best_held_out_pass_at_1_is_kept_beside_the_newest", async () => {
  // A learning rate that ruins the policy: the first evaluation is the best.
  const { dir, events } = await grpoRuns(root, () => base).run("ruin", {
    steps: 4,
    train: { optimizer: { lr: 0.3 } },
    evaluation: { every: 2, questions: 8, samples: 8 },
    checkpoint: { every: 1, keep_last: 1 },
  });
  const rates = events.flatMap((e) =>
    e.type === "eval" && e.step > 0 ? [[e.step, e.metrics["eval/pass_at_1"]!] as const] : [],
  );
  const [first, last] = rates;
  expect(rates.map(([step]) => step)).toEqual([2, 4]);
  const best = first![1] >= last![1] ? first! : last!;
  // Otherwise the newest would be kept anyway.
  expect(best[0]).toBe(2);
  expect(JSON.parse(readFileSync(join(dir, "checkpoints/best.json"), "utf8"))).toEqual({
    step: best[0],
    valLoss: expect.closeTo(1 - best[1], 12),
  });
  const kept = [1, 2, 3, 4].filter((step) => existsSync(join(dir, "checkpoints", `step-00000${step}`)));
  expect(kept).toEqual([...new Set([best[0], 4])]);
});

test("an_interruption_between_two_saves_does_not_change_which_checkpoint_is_the_best", async () => {
  // As above; the policy of step 1, which no unbroken run saves, would be the best.
  const set = {
    ...{ steps: 4, train: { optimizer: { lr: 0.3 } }, evaluation: { every: 1, questions: 8, samples: 8 } },
    checkpoint: { every: 2, keep_last: 1 },
  };
  const runs = grpoRuns(root, () => base);
  const whole = await runs.run("whole", set);
  const first = await runs.run("broken", set, { stopAt: 1 });
  expect(first.result).toMatchObject({ status: "interrupted", step: 1 });
  const broken = await runs.run("broken", set, { resumeFrom: first.result.outputs.checkpoint! });
  const best = (dir: string) => JSON.parse(readFileSync(join(dir, "checkpoints/best.json"), "utf8"));
  expect(best(broken.dir)).toEqual(best(whole.dir));
  const kept = (dir: string) => readdirSync(join(dir, "checkpoints")).sort();
  expect(kept(broken.dir)).toEqual(kept(whole.dir));
});
