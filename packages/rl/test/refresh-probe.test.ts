// A sampler without the trainer's weights stops the run within one step; a healthy one never does.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDevice } from "@nsa/kernels";
import { type GeneratedSample, resolveModelConfig, Transformer } from "@nsa/model";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { RecordableBatch } from "../src/stages/grpo/learn.ts";
import { RefreshProbe } from "../src/stages/grpo/refresh-probe.ts";
import { grpoRecipe, grpoRuns, makeBase, stepMetrics } from "./grpo-fixture.ts";

const fault = vi.hoisted(() => ({ stale: false }));

// The mutation: the generator has a copy of the weights, made when it was first opened and never refreshed.
vi.mock("@nsa/model", async (original) => {
  const real = await original<typeof import("@nsa/model")>();
  const copies = new WeakMap<Transformer, Transformer>();
  function copyOf(model: Transformer): Transformer {
    const copy = copies.get(model) ?? new real.Transformer(model.device, model.config);
    if (!copies.has(model)) copy.parameters.copyFrom(model.parameters);
    copies.set(model, copy);
    return copy;
  }
  class Engine extends real.Engine {
    constructor(...[model, options]: ConstructorParameters<typeof real.Engine>) {
      super(fault.stale ? copyOf(model) : model, options);
    }
  }
  return { ...real, Engine };
});

const root = mkdtempSync(join(tmpdir(), "nsa-probe-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);
beforeEach(() => {
  fault.stale = false;
});
const { run } = grpoRuns(root, () => base);

test.each([1e-3, 1e-5])(
  "a_sampler_that_is_not_refreshed_stops_the_run_in_the_next_step_at_lr_%s",
  async (lr) => {
    fault.stale = true;
    const seen: number[] = [];
    const failed = run(
      `stale-${lr}`,
      { train: { optimizer: { lr } } },
      { onStep: (step) => seen.push(step) },
    );
    await expect(failed).rejects.toMatchObject({
      code: "sampler_stale",
      exitCode: 1,
      what: "step 2: the sampler has the weights of step 1",
    });
    expect(seen).toEqual([1]);
  },
  60_000,
);

test.each([
  ["weights_that_do_not_move", { train: { optimizer: { lr: 0, weight_decay: 0 } } }],
  [
    "several_updates_and_truncated_sampling",
    {
      algorithm: { inner_epochs: 2, mini_batches: 2 },
      rollout: { questions_per_step: 4, group_size: 4, max_tokens: 24, top_p: 0.9, temperature: 0.8 },
    },
  ],
])(
  "%s_do_not_stop_a_healthy_run",
  async (name, set) => {
    const { events, result } = await run(name, set);
    expect(result.status).toBe("completed");
    for (const m of stepMetrics(events)) expect(m["policy/sampler_difference_max"]).toBeLessThan(1e-4);
  },
  60_000,
);

test("a_healthy_run_in_bf16_is_not_stopped", async () => {
  const folder = mkdtempSync(join(root, "bf16-"));
  const low = await makeBase(folder, { dtype: "bf16" });
  const { result } = await grpoRuns(folder, () => low).run("run", {
    steps: 3,
    rewards: [{ kind: "length" }],
  });
  expect(result.status).toBe("completed");
}, 60_000);

const device = openDevice("cpu");
afterAll(() => device.close());
const sizes = {
  attention: "full",
  vocabSize: 20,
  dModel: 8,
  numLayers: 1,
  numHeads: 2,
  numKvHeads: 2,
  dFf: 16,
  maxSeqLen: 32,
} as const;
const open = (dtype: "fp32" | "bf16") => {
  const model = new Transformer(device, resolveModelConfig({ ...sizes, dtype }));
  model.parameters.init(3);
  return { model, probe: new RefreshProbe(model, [1, 2], grpoRecipe(base)) };
};
const nothing = { samples: [], all: [], weightSum: 1, metrics: {} };

test("bf16_copies_that_were_not_made_again_after_an_update_stop_the_run", () => {
  const { model, probe } = open("bf16");
  const check = () => probe.checkUpdated(4, nothing, { oldLogp: new Map() });
  check();
  const { flat } = model.parameters;
  device.run("binary_scalar", { a: flat, y: flat, value: 1.01, kind: 2 });
  expect(check).toThrow(
    expect.objectContaining({ code: "sampler_stale", exitCode: 1, what: expect.stringContaining("step 4") }),
  );
  model.parameters.refreshLow();
  check();
});

test("a_difference_beyond_rounding_of_the_first_tokens_stops_the_run", () => {
  const { probe } = open("fp32");
  const sample = (id: number, oldLogp?: number[]) =>
    ({ id, samplerLogp: [-1, -2, -3, -4], ...(oldLogp ? { oldLogp } : {}) }) as never;
  const check = (samples: never[], noted: [number, number[]][] = []) =>
    probe.checkUpdated(2, { ...nothing, samples } as RecordableBatch, { oldLogp: new Map(noted) });
  check([sample(0, [-1, -2.0004, -3, -4])]);
  // Means of 0.04 / 4 = 0.01 and of 0.12 / 4 = 0.03 nats.
  check([sample(5)], [[5, [-1.04, -2, -3, -4]]]);
  expect(() => check([sample(5)], [[5, [-1.04, -2.08, -3, -4]]])).toThrow(/not the same policy/);
  // Only the first 256 tokens count: 64 outputs.
  const same = Array.from({ length: 64 }, (_, i) => sample(i, [-1, -2, -3, -4]));
  check([...same, sample(64, [-9, -9, -9, -9])]);
});

test("a_probe_compares_with_the_last_step_at_which_the_sampler_moved", () => {
  const { model, probe } = open("fp32");
  const sampler = (ids: number[], logp: number[]) => ({ ids, logp }) as GeneratedSample;
  const move = () =>
    device.run("binary_scalar", { a: model.parameters.flat, y: model.parameters.flat, value: 1.5, kind: 2 });
  probe.checkMoved(1, sampler([3, 4], [-1, -2]));
  // Neither moves.
  probe.checkMoved(2, sampler([3, 4], [-1, -2]));
  move();
  // Other ids, then other log-probabilities: it moves.
  probe.checkMoved(3, sampler([3, 5], [-1, -2]));
  move();
  probe.checkMoved(4, sampler([3, 5], [-1, -2.5]));
  move();
  expect(() => probe.checkMoved(5, sampler([3, 5], [-1, -2.5]))).toThrow(/the weights of step 4/);
});
