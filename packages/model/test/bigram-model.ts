// A transformer whose log-probabilities are a table: ln p(next | token), so that losses can be written down by hand.
//
// Embeddings are one-hot, all layers add 0, the final norm leaves the one-hot vector as it is, and the head holds ln p.
import type { Device } from "@nsa/kernels";
import { type ModelConfigInput, resolveModelConfig, Transformer } from "../src/index.ts";

/** p(next | token), rows of binary fractions: in bits 1 2 3 3 | 3 1 2 3 | 4 4 3 log₂(4/3) | 2 2 2 2. */
export const bigrams = [
  [1 / 2, 1 / 4, 1 / 8, 1 / 8],
  [1 / 8, 1 / 2, 1 / 4, 1 / 8],
  [1 / 16, 1 / 16, 1 / 8, 3 / 4],
  [1 / 4, 1 / 4, 1 / 4, 1 / 4],
];

/** The model of a square table; its vocabulary and width are the table's size. */
export function bigramModel(
  device: Device,
  table: readonly (readonly number[])[] = bigrams,
  config: ModelConfigInput = {},
): Transformer {
  const V = table.length;
  const sizes = { vocabSize: V, dModel: V, numLayers: 1, numHeads: 1, headDim: 2, dFf: 3, maxSeqLen: 64 };
  const model = new Transformer(
    device,
    resolveModelConfig({ attention: "full", tieEmbeddings: false, normEps: 1e-12, ...sizes, ...config }),
  );
  const write = (name: string, values: number[]) =>
    model.parameters.flat.write(Float32Array.from(values), model.parameters.range(name).offset);
  const ids = Array.from({ length: V }, (_, i) => i);
  write(
    "model.embed_tokens.weight",
    ids.flatMap((token) => ids.map((i) => (i === token ? 1 : 0))),
  );
  write(
    "model.norm.weight",
    ids.map(() => 1 / Math.sqrt(V)),
  );
  write(
    "lm_head.weight",
    ids.flatMap((next) => ids.map((token) => Math.log(table[token]![next]!))),
  );
  model.parameters.refreshLow();
  return model;
}
