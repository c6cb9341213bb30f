// The policy loss through a model in doubles: eq. 21 by differences, invariances of the step, hand-computed objectives.
import { Device, Tape, TensorMath } from "@nsa/kernels";
import { logprobs, resolveModelConfig, Transformer } from "@nsa/model";
import { Trainer } from "@nsa/train";
import { afterAll, expect, test } from "vitest";
import { aggregationWeights } from "../src/algorithm/aggregation.ts";
import { ratioDiagnostics, segmentMeans } from "../src/algorithm/diagnostics.ts";
import { klEstimate, klValue } from "../src/algorithm/kl.ts";
import { type PolicyLossConfig, policyLoss, policyObjective } from "../src/algorithm/losses.ts";
import { outputsOf, type PolicySample, policyBatch, policyStep } from "../src/stages/grpo/batch.ts";
import { type GrpoConfig, grpoSchema } from "../src/stages/grpo/config.ts";
import { grpoLoss } from "../src/stages/grpo/loss.ts";

const reference = Device.open("reference");
afterAll(() => reference.close());

const TEMPERATURE = 0.7;
const EOS = 3;
const modelConfig = resolveModelConfig({
  attention: "full",
  vocabSize: 11,
  dModel: 8,
  numLayers: 2,
  numHeads: 2,
  numKvHeads: 1,
  dFf: 12,
  maxSeqLen: 64,
  initStd: 0.4,
});

function policy(seed = 1): Transformer {
  const model = new Transformer(reference, modelConfig, "f64");
  model.parameters.init(seed);
  return model;
}

const algorithm = (set: Record<string, unknown> = {}): GrpoConfig["algorithm"] =>
  grpoSchema.parse({ init: { checkpoint: "none" }, algorithm: set }).algorithm;

/** Outputs of unequal lengths with advantages that do not cancel; the second holds an end token in the middle. */
function outputs(aggregation: "sequence_mean" | "token_mean" = "sequence_mean") {
  const ids = [
    [5, 2, 7],
    [4, EOS, 4, 9, EOS],
    [8, 1],
  ];
  const prompts = [
    [1, 2],
    [1, 2],
    [6, 4, 2],
  ];
  const { weights, sum } = aggregationWeights(
    ids.map((x) => x.length),
    aggregation,
    { maxTokens: 8 },
  );
  const samples = ids.map(
    (x, i): PolicySample => ({
      prompt: prompts[i]!,
      ids: x,
      weight: weights[i]!,
      advantage: Float32Array.from(x, (_, t) => [1.5, -0.5, 0.75][i]! + 0.25 * t),
      oldLogp: x.map((_, t) => -2 - 0.3 * t),
      refLogp: x.map((_, t) => -2.2 + 0.2 * t),
      samplerLogp: x.map(() => -2),
      id: i,
    }),
  );
  return { samples, sum };
}

/** Gradient of one step as the trainer accumulates it, and its loss. */
function gradientOf(
  samples: readonly PolicySample[],
  sum: number,
  config: GrpoConfig["algorithm"],
  options: { budget?: number; onPolicy?: boolean; logitsBudgetMb?: number } = {},
) {
  const { logitsBudgetMb = 64 } = options;
  const trainer = new Trainer(policy(), 1, { optimizer: { lr: 0, clip: 0 }, logitsBudgetMb });
  const totalTokens = samples.reduce((n, s) => n + s.ids.length, 0);
  const loss = grpoLoss(config, { onPolicy: options.onPolicy ?? true, totalTokens });
  const metrics = trainer.step(policyStep(samples, options.budget ?? 1000, sum), loss, {
    temperature: TEMPERATURE,
  });
  const gradient = trainer.model.parameters.gradients!.read();
  trainer.free();
  trainer.model.free();
  return { gradient, metrics };
}

/** ‖a − b‖ / ‖a‖. */
function distance(a: Float64Array, b: Float64Array): number {
  const norm = (x: Float64Array) => Math.sqrt(x.reduce((s, v) => s + v * v, 0));
  return norm(a.map((v, i) => v - b[i]!)) / norm(a);
}

test("at_mu_1_the_gradient_is_eq_21s_coefficient_times_that_of_log_pi", () => {
  const beta = 0.3;
  const { samples, sum } = outputs();
  const { gradient } = gradientOf(samples, sum, algorithm({ klCoef: beta }));
  const model = policy();
  const batch = policyBatch(samples);
  const logp = () => outputsOf(batch, logprobs(model, batch, { temperature: TEMPERATURE }).logp);
  const start = logp();
  // GC = Â + β(π_ref/π_θ − 1); the loss is minus the objective.
  const coefficient = samples.map((s, i) =>
    s.ids.map((_, t) => s.advantage[t]! + beta * (Math.exp(s.refLogp![t]! - start[i]![t]!) - 1)),
  );
  const surrogate = () => {
    const now = logp();
    let loss = 0;
    samples.forEach((s, i) => {
      for (let t = 0; t < s.ids.length; t++) loss -= (s.weight / sum) * coefficient[i]![t]! * now[i]![t]!;
    });
    return loss;
  };
  const { flat } = model.parameters;
  const values = flat.read();
  for (const phase of [0, 1, 2, 3]) {
    const direction = Float64Array.from(values, (_, i) => Math.sin(phase + i * 1.7));
    const h = 1e-6;
    const at = (sign: number) => {
      flat.write(values.map((v, i) => v + sign * h * direction[i]!));
      const y = surrogate();
      flat.write(values);
      return y;
    };
    const numeric = (at(1) - at(-1)) / (2 * h);
    const analytic = gradient.reduce((s, g, i) => s + g * direction[i]!, 0);
    expect(Math.abs(analytic - numeric)).toBeLessThan(1e-6 * Math.max(1, Math.abs(numeric)));
  }
  model.free();
});

/** Hidden states times the head's weights on the host, then a plain log-softmax: log π of every output token. */
function plainLogp(model: Transformer, samples: readonly PolicySample[]): number[][] {
  using _ = reference.scope();
  const batch = policyBatch(samples);
  const hidden = model.forward(new Tape(false), model.upload(batch)).read();
  const head = model.headWeight.read();
  const { dModel: d, vocabSize: v } = modelConfig;
  const logp = Array.from(batch.targets, (target, t) => {
    if (target < 0) return 0;
    const z = Array.from({ length: v }, (_, id) => {
      let sum = 0;
      for (let k = 0; k < d; k++) sum += hidden[t * d + k]! * head[id * d + k]!;
      return sum / TEMPERATURE;
    });
    const most = Math.max(...z);
    return z[target]! - most - Math.log(z.reduce((a, x) => a + Math.exp(x - most), 0));
  });
  return outputsOf(batch, logp);
}

for (const loss of ["grpo", "gspo"] as const) {
  test(`the_fused_loss_path_equals_a_plain_one_written_out_on_the_host_for_${loss}`, () => {
    const [beta, low, high] = [0.2, 0.3, 0.4];
    const { samples, sum } = outputs();
    const config = algorithm({ loss, klCoef: beta, clipEpsLow: low, clipEpsHigh: high });
    // Old log-probabilities near the policy's: some ratios are clipped, some are not.
    const model = policy();
    for (const [i, logp] of plainLogp(model, samples).entries())
      samples[i]!.oldLogp = logp.map((x, t) => x + 0.5 * Math.sin(5 * t + 3 * i));
    const plain = () => {
      const now = plainLogp(model, samples);
      let total = 0;
      for (const [i, s] of samples.entries()) {
        const logRatio = now[i]!.map((x, t) => x - s.oldLogp![t]!);
        const mean = logRatio.reduce((a, b) => a + b, 0) / logRatio.length;
        for (const [t, x] of now[i]!.entries()) {
          const ratio = Math.exp(loss === "gspo" ? mean : logRatio[t]!);
          const clipped = Math.min(Math.max(ratio, 1 - low), 1 + high);
          const gain = Math.min(ratio * s.advantage[t]!, clipped * s.advantage[t]!);
          const kl = Math.exp(s.refLogp![t]! - x) - (s.refLogp![t]! - x) - 1;
          total -= (s.weight / sum) * (gain - beta * kl);
        }
      }
      return total;
    };
    const { gradient, metrics } = gradientOf(samples, sum, config, { onPolicy: false });
    // Columns of a batch are single precision.
    expect(metrics["train/loss"]).toBeCloseTo(plain(), 6);
    const { flat } = model.parameters;
    const values = flat.read();
    for (const phase of [0, 1, 2]) {
      const direction = Float64Array.from(values, (_, i) => Math.cos(phase + i * 2.3));
      const at = (h: number) => {
        flat.write(values.map((v, i) => v + h * direction[i]!));
        const y = plain();
        flat.write(values);
        return y;
      };
      const numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
      const analytic = gradient.reduce((a, g, i) => a + g * direction[i]!, 0);
      expect(Math.abs(analytic - numeric)).toBeLessThan(1e-6 * Math.max(1, Math.abs(numeric)));
    }
    model.free();
  });
}

for (const loss of ["grpo", "gspo", "cispo", "reinforce"] as const) {
  test(`micro_batch_size_and_order_of_outputs_do_not_change_the_step_of_${loss}`, () => {
    const { samples, sum } = outputs();
    const config = algorithm({ loss, klCoef: 0.1 });
    const whole = gradientOf(samples, sum, config, { onPolicy: false });
    const split = gradientOf(samples, sum, config, { onPolicy: false, budget: 1 });
    const turned = gradientOf([samples[2]!, samples[0]!, samples[1]!], sum, config, { onPolicy: false });
    expect(distance(whole.gradient, split.gradient)).toBeLessThan(1e-6);
    expect(distance(whole.gradient, turned.gradient)).toBeLessThan(1e-6);
    expect(split.metrics["train/loss"]).toBeCloseTo(whole.metrics["train/loss"]!, 9);
    expect(split.metrics["policy/ratio_mean"]).toBeCloseTo(whole.metrics["policy/ratio_mean"]!, 9);
  });
}

test("kept_and_recomputed_logits_give_one_off_policy_gradient", () => {
  const { samples, sum } = outputs();
  const config = algorithm({ klCoef: 0.1, clipEpsHigh: 5, clipEpsLow: 0.9 });
  const kept = gradientOf(samples, sum, config, { onPolicy: false });
  const again = gradientOf(samples, sum, config, { onPolicy: false, logitsBudgetMb: 0 });
  expect(distance(kept.gradient, again.gradient)).toBeLessThan(1e-6);
  // The ratio is in it: on-policy, with all ratios 1, the gradient is another.
  expect(distance(kept.gradient, gradientOf(samples, sum, config).gradient)).toBeGreaterThan(0.05);
});

test("every_sampled_token_is_learned_from_the_end_token_included", () => {
  const { samples } = outputs();
  const batch = policyBatch(samples);
  const targets = outputsOf(batch, batch.targets);
  expect(targets).toEqual(samples.map((s) => s.ids));
  // The prompt has no target, and the first output token is predicted from the prompt's last.
  expect([...batch.targets.slice(0, 4)]).toEqual([-1, 5, 2, 7]);
});

test("the_trainer_divides_logits_by_the_sampling_temperature", () => {
  const { samples, sum } = outputs();
  const model = policy();
  const batch = policyBatch(samples);
  const warm = outputsOf(batch, logprobs(model, batch, { temperature: TEMPERATURE }).logp);
  const told = samples.map((s, i) => ({ ...s, samplerLogp: warm[i]! }));
  const { metrics } = gradientOf(told, sum, algorithm());
  expect(metrics["policy/sampler_difference_max"]).toBeLessThan(1e-6);
  model.free();
});

/** Per-token objective of two outputs of lengths 2 and 1. */
function objective(config: PolicyLossConfig, logRatios: number[], advantage: number[]): number[] {
  using _ = reference.scope();
  const m = new TensorMath(new Tape(false));
  const at = (x: number[]) => reference.from(Float64Array.from(x), [x.length], "f64");
  const logp = at(logRatios.map((r) => r - 1));
  const inputs = {
    logp,
    oldLogp: at(logRatios.map(() => -1)),
    advantage: at(advantage),
    cuSamples: reference.from(Int32Array.of(0, 2, 3), [3], "i32"),
    inverseLengths: at([1 / 2, 1]),
  };
  return [...policyObjective(m, inputs, config).read()];
}

const log = Math.log;

test("grpo_takes_the_smaller_of_the_plain_and_the_clipped_objective", () => {
  const clip = { kind: "grpo", clipEpsLow: 0.2, clipEpsHigh: 0.4 } as const;
  const got = objective(clip, [log(2), log(0.5), log(0.5)], [1, 1, -1]);
  [1.4, 0.5, -0.8].forEach((v, i) => {
    expect(got[i]).toBeCloseTo(v, 9);
  });
});

test("gspo_uses_the_mean_log_ratio_of_a_sequence_not_its_sum", () => {
  const wide = { kind: "gspo", clipEpsLow: 0.99, clipEpsHigh: 99 } as const;
  const got = objective(wide, [log(4), 0, log(3)], [1, 1, 1]);
  [2, 2, 3].forEach((v, i) => {
    expect(got[i]).toBeCloseTo(v, 9);
  });
});

test("the_sampler_correction_is_a_truncated_importance_weight_without_a_gradient", () => {
  using _ = reference.scope();
  const tape = new Tape();
  const m = new TensorMath(tape);
  const at = (x: number[]) => reference.from(Float64Array.from(x), [x.length], "f64");
  const logp = at([-1, -1, -1]);
  logp.requiresGrad = true;
  // π_old/π_sampler = 1.5, 3 (cut at 2), 0.5.
  const samplerLogp = at([-1 - log(1.5), -1 - log(3), -1 - log(0.5)]);
  const inputs = {
    logp,
    oldLogp: at([-1, -1, -1]),
    advantage: at([1, 1, -2]),
    cuSamples: reference.from(Int32Array.of(0, 3), [2], "i32"),
    inverseLengths: at([1 / 3]),
  };
  const config = { kind: "grpo", clipEpsLow: 0.2, clipEpsHigh: 0.2, samplerCap: 2 } as const;
  const corrected = policyObjective(m, { ...inputs, samplerLogp }, config);
  [1.5, 2, -1].forEach((v, i) => {
    expect(corrected.read()[i]).toBeCloseTo(v, 9);
  });
  tape.backward([[m.sum(corrected), at([1])]]);
  // The ratio of 1 has the slope 1 in log π: the gradient is the weight times the advantage.
  [1.5, 2, -1].forEach((v, i) => {
    expect(logp.grad!.read()[i]).toBeCloseTo(v, 9);
  });
});

test("cispo_weighs_log_pi_by_the_clipped_ratio_and_reinforce_by_the_advantage_alone", () => {
  const cispo = { kind: "cispo", clipEpsLow: 0.2, clipEpsHigh: 0.2 } as const;
  const ratios = [log(2), log(0.5), 0];
  const logp = ratios.map((r) => r - 1);
  const a = [1, -1, 2];
  [1.2, 0.8, 1].forEach((w, i) => {
    expect(objective(cispo, ratios, a)[i]).toBeCloseTo(w * logp[i]! * a[i]!, 9);
    expect(objective({ ...cispo, kind: "reinforce" }, ratios, a)[i]).toBeCloseTo(logp[i]! * a[i]!, 9);
  });
});

test("the_kl_of_a_number_is_that_of_the_tensor", () => {
  using _ = reference.scope();
  const m = new TensorMath(new Tape(false));
  const at = (x: number[]) => reference.from(Float64Array.from(x), [x.length], "f64");
  for (const kind of ["k1", "k2", "k3"] as const)
    for (const [a, b] of [
      [-1, -2],
      [-3, -0.5],
    ] as const)
      expect(klValue(a, b, kind)).toBeCloseTo(klEstimate(m, at([a]), at([b]), kind).item(), 12);
});

test("kl_estimators_match_their_definitions_and_k3_is_never_negative", () => {
  using _ = reference.scope();
  const m = new TensorMath(new Tape(false));
  const at = (x: number[]) => reference.from(Float64Array.from(x), [x.length], "f64");
  const of = (kind: "k1" | "k2" | "k3") => [...klEstimate(m, at([-1, -3]), at([-2, -1]), kind).read()];
  const close = (got: number[], want: number[]) =>
    want.forEach((v, i) => {
      expect(got[i]).toBeCloseTo(v, 9);
    });
  close(of("k1"), [1, -2]);
  close(of("k2"), [0.5, 2]);
  close(of("k3"), [Math.exp(-1) + 1 - 1, Math.exp(2) - 2 - 1]);
});

test("the_loss_is_minus_the_weighted_objective_with_beta_times_kl", () => {
  using _ = reference.scope();
  const m = new TensorMath(new Tape(false));
  const at = (x: number[]) => reference.from(Float64Array.from(x), [x.length], "f64");
  const inputs = {
    logp: at([-1, -2]),
    oldLogp: at([-1, -2]),
    advantage: at([1, -3]),
    refLogp: at([-2, -2]),
    weight: at([0.5, 0.25]),
    cuSamples: reference.from(Int32Array.of(0, 2), [2], "i32"),
    inverseLengths: at([0.5]),
  };
  const config = { kind: "grpo", clipEpsLow: 0.2, clipEpsHigh: 0.2, klKind: "k3" } as const;
  expect(policyLoss(m, inputs, { ...config, klCoef: 0 }).item()).toBeCloseTo(-(0.5 - 0.75), 9);
  const kl = Math.exp(-1);
  expect(policyLoss(m, inputs, { ...config, klCoef: 0.1 }).item()).toBeCloseTo(-(0.5 - 0.75 - 0.05 * kl), 9);
});

test("a_token_counts_as_clipped_only_where_the_clip_changes_the_objective", () => {
  const d = ratioDiagnostics([log(2), log(2), log(0.5), log(0.5)], [1, -1, 1, -1], 0.2, 0.2);
  expect(d).toEqual({
    ratioMean: expect.closeTo(1.25, 9),
    ratioMax: expect.closeTo(2, 9),
    clipFractionLow: 0.25,
    clipFractionHigh: 0.25,
    outsideShare: 1,
  });
});

test("gspo_counts_clips_by_the_ratio_of_the_sequence", () => {
  expect([...segmentMeans([1, 3, -2, 5], [2, 1, 1])]).toEqual([2, 2, -2, 5]);
});
