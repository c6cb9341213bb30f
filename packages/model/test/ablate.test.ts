// Silencing branches of NSA at inference.
import { Device, Tape } from "@nsa/kernels";
import { afterAll, expect, test } from "vitest";
import { type Branch, muteBranch, resolveModelConfig, Transformer } from "../src/index.ts";

const device = Device.open("cpu");
afterAll(() => device.close());

const T = 64;
const model = new Transformer(
  device,
  resolveModelConfig({
    vocabSize: 40,
    dModel: 32,
    numLayers: 1,
    numHeads: 2,
    numKvHeads: 1,
    dFf: 48,
    blockSize: 8,
    stride: 4,
    selectionBlockSize: 8,
    numSelectedBlocks: 3,
    windowSize: 8,
  }),
);
model.parameters.init(3);
const batch = {
  tokens: Int32Array.from({ length: T }, (_, t) => (t * 7) % 40),
  cuSeqlens: Int32Array.of(0, T),
};

function forward(mute: Branch | undefined): Float64Array {
  using _ = device.scope();
  const uploaded = model.upload(batch);
  const attend = mute && muteBranch(mute, uploaded);
  return model.forward(new Tape(false), uploaded, { attend }).read();
}

test("every_branch_has_its_share_and_muting_changes_the_output", () => {
  const whole = forward(undefined);
  for (const branch of ["cmp", "slc", "win"] as const) expect(forward(branch)).not.toEqual(whole);
});

test("muting_a_branch_equals_a_gate_bias_that_closes_it", () => {
  const bias = model.parameters.weight("model.layers.0.self_attn.gate_bias");
  const before = bias.read();
  bias.write(before.map((b, i) => (i % 3 === 1 ? -1e4 : b)));
  const closed = forward(undefined);
  bias.write(before);
  expect(forward("slc")).toEqual(closed);
});
