// Examples packed by @nsa/data give the logits they give alone, with NSA in fp32, whatever shares their pack.
import { batchOfPack, planPacks, positionsOf } from "@nsa/data";
import { Tape } from "@nsa/kernels";
import { resolveModelConfig, Transformer } from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";

const device = openBackend({ threads: 2 });
afterAll(() => device.close());

const shape = {
  vocabSize: 31,
  dModel: 16,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 1,
  dFf: 24,
  blockSize: 8,
  stride: 4,
  selectionBlockSize: 8,
  numSelectedBlocks: 3,
  windowSize: 8,
  maxSeqLen: 256,
  initStd: 0.3,
};

for (const method of ["random", "bfd"] as const) {
  test(`logits_of_${method}_packs_equal_those_of_single_examples`, () => {
    using _ = device.scope();
    const model = new Transformer(device, resolveModelConfig({ ...shape, attention: "nsa" }));
    model.parameters.init(3);
    const examples = [60, 9, 33, 100, 17, 71, 2, 48].map((n, e) => ({
      ids: Int32Array.from({ length: n }, (_, i) => (i * 7 + e * 5 + 3) % 31),
      promptLength: 2,
    }));
    const plan = planPacks(examples.map(positionsOf), { method, capacity: 128, seed: 1 });
    expect(plan.starts.length - 1).toBeLessThan(examples.length);
    const width = shape.dModel;
    const hidden = (batch: { tokens: Int32Array; cuSeqlens: Int32Array }) =>
      model.forward(new Tape(false), model.upload(batch)).read();
    const head = model.headWeight.read();
    /** Logits of one position, from its hidden row and the head [vocab × width]. */
    const logits = (rows: ArrayLike<number>, t: number) =>
      Array.from({ length: shape.vocabSize }, (_, v) => {
        let sum = 0;
        for (let k = 0; k < width; k++) sum += rows[t * width + k]! * head[v * width + k]!;
        return sum;
      });
    let worst = 0;
    let largest = 0;
    for (let p = 0; p + 1 < plan.starts.length; p++) {
      const pack = batchOfPack(plan, p, examples);
      const packed = hidden(pack);
      pack.sampleIds.forEach((e, d) => {
        const [from, to] = [pack.cuSeqlens[d]!, pack.cuSeqlens[d + 1]!];
        const alone = hidden({
          tokens: pack.tokens.slice(from, to),
          cuSeqlens: Int32Array.of(0, to - from),
        });
        expect(to - from).toBe(positionsOf(examples[e]!));
        for (let t = from; t < to; t++) {
          const [a, b] = [logits(packed, t), logits(alone, t - from)];
          a.forEach((x, v) => {
            worst = Math.max(worst, Math.abs(x - b[v]!));
            largest = Math.max(largest, Math.abs(x));
          });
        }
      });
    }
    expect(largest).toBeGreaterThan(0.1);
    expect(worst).toBeLessThan(1e-5);
  });
}
