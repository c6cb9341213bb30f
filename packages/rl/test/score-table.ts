// A reward model in doubles whose number at a token is looked up by the token alone, for values and gradients by hand.
import type { Device } from "@nsa/kernels";
import { resolveModelConfig, Transformer } from "@nsa/model";

/**
 * The hidden state of id i is (x, √(4 − x²), 0, 0) with x half of `numbers[i]`: its root mean square is 1, so the norm leaves it, and the
 * score weight (2, 0, 0, 0) reads the number.
 */
export function scoreTable(device: Device, numbers: readonly number[]): Transformer {
  const config = resolveModelConfig({
    attention: "full",
    head: "scalar",
    vocabSize: numbers.length,
    dModel: 4,
    numLayers: 1,
    numHeads: 1,
    numKvHeads: 1,
    dFf: 2,
    maxSeqLen: 16,
    normEps: 1e-12,
  });
  const model = new Transformer(device, config, "f64");
  const put = (name: string, values: number[]) => {
    const view = model.parameters.flat.view(model.parameters.range(name).offset, [values.length]);
    view.write(Float64Array.from(values));
    view.free();
  };
  const rows = numbers.flatMap((n) => [n / 2, Math.sqrt(4 - (n / 2) ** 2), 0, 0]);
  put("model.embed_tokens.weight", rows);
  put("model.norm.weight", [1, 1, 1, 1]);
  put("score.weight", [2, 0, 0, 0]);
  return model;
}
