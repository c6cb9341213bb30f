// An MLP kind from outside with a loss of its own: registered by name, counted, and its gradient reaches every weight below it.
import { Device, linear, TensorMath } from "@nsa/kernels";
import {
  type MlpKind,
  matmulParameters,
  matrix,
  mlpKinds,
  parameterCount,
  resolveModelConfig,
  Transformer,
} from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { countingBatch, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, MicroSteps } from "../src/index.ts";

const device = Device.open("reference");
afterAll(() => device.close());

const COEFFICIENT = 0.25;

/** y = residual + W·silu(x) with the loss 0.25 · mean(x²) of what goes in. */
const square: MlpKind = {
  name: "test_square",
  weights: (c, prefix, residualStd) => [
    matrix(`${prefix}only`, [[`${prefix}only.weight`, c.dModel]], c.dModel, residualStd),
  ],
  forward(tape, layer, normed, residual) {
    const math = new TensorMath(tape);
    const y = linear(tape, math.silu(normed), layer.weight("mlp.only"), { residual });
    return { y, aux: math.mul(math.mean(math.square(normed)), COEFFICIENT) };
  },
  memory: (c) => ({ kept: c.dModel, live: c.dModel }),
};
mlpKinds.register(square);

// Without ε, normed rows have a mean square of exactly 1 while the norm's weight is 1.
const config = resolveModelConfig({ ...tinyConfig, mlp: "test_square", normEps: 1e-30 });
/** Weight of the step: three micro-batches of the one that is run. */
const WEIGHT_SUM = 3 * 2 * 23;

/** Loss of the batch and its gradients, in double. */
function step(
  model: Transformer,
  recompute: boolean,
): { loss: number; aux: number; gradients: Float64Array } {
  model.parameters.enableGradients();
  model.parameters.zeroGradients();
  const steps = new MicroSteps(model, { recompute, logitsBudgetMb: 64 });
  let [loss, aux] = [0, 0];
  using _ = device.scope();
  steps.run(countingBatch(5, 0), { weightSum: WEIGHT_SUM, loss: crossEntropy, temperature: 1 }, (part) => {
    const value = (name: string) => (typeof part[name] === "number" ? part[name] : part[name]!.item());
    [loss, aux] = [value("loss"), value("train/aux_loss")];
  });
  const gradients = model.parameters.gradients!.read();
  steps.free();
  return { loss, aux, gradients };
}

test("a_kind_counts_its_own_weights", () => {
  const [model, layers] = [16, 2];
  const swiglu = 3 * tinyConfig.dFf * model;
  expect(parameterCount(config) - parameterCount(tinyConfig)).toBe(layers * (model * model - swiglu));
  expect(matmulParameters(config) - matmulParameters(tinyConfig)).toBe(layers * (model * model - swiglu));
  expect(() => resolveModelConfig({ ...tinyConfig, mlp: "swigloo" })).toThrow(/swiglu/);
});

test("the_loss_of_a_layer_has_its_share_of_the_step_and_its_gradient_reaches_the_weights_below", () => {
  const model = new Transformer(device, config, "f64");
  model.parameters.init(11);
  const at = step(model, false);
  // 0.25 a layer, and a third of the step's weight is here.
  expect(at.aux).toBeCloseTo((2 * COEFFICIENT) / 3, 7);
  const epsilon = 1e-5;
  const total = () => {
    const { loss, aux } = step(model, false);
    return loss + aux;
  };
  for (const name of [
    "model.layers.0.mlp.only.weight",
    "model.layers.1.post_attention_layernorm.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.embed_tokens.weight",
  ]) {
    const i = model.parameters.range(name).offset + 3;
    const before = model.parameters.flat.view(i, [1]);
    const value = before.item();
    before.write([value + epsilon]);
    const up = total();
    before.write([value - epsilon]);
    const down = total();
    before.write([value]);
    before.free();
    expect(at.gradients[i], name).toBeCloseTo((up - down) / (2 * epsilon), 7);
  }
  model.free();
});

test("layers_run_again_in_the_backward_give_the_same_gradients", () => {
  const model = new Transformer(device, config, "f64");
  model.parameters.init(11);
  const [kept, again] = [step(model, false), step(model, true)];
  expect(again.aux).toBe(kept.aux);
  expect(again.gradients).toEqual(kept.gradients);
  model.free();
});
