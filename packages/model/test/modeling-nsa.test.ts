// Exported NSA models compute the same logits in PyTorch; with transformers where it is installed, else with a stub of it.
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Device, linear, Tape } from "@nsa/kernels";
import { afterAll, expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { exportHuggingFace, type ModelConfigInput, resolveModelConfig, Transformer } from "../src/index.ts";

const device = Device.open("reference");
afterAll(() => device.close());

const has = (python: string, module: string) => spawnSync(python, ["-c", `import ${module}`]).status === 0;
const python = [process.env.NSA_PYTHON, "python3", "/usr/bin/python3"].find(
  (p) => p !== undefined && has(p, "torch"),
);

const tiny: ModelConfigInput = {
  vocabSize: 50,
  dModel: 32,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  dFf: 48,
  blockSize: 8,
  stride: 4,
  selectionBlockSize: 8,
  numSelectedBlocks: 4,
  windowSize: 12,
  initStd: 0.2,
  maxSeqLen: 128,
};

const T = 101;
const tokens = Int32Array.from({ length: T }, (_, t) => (Math.imul(t + 1, 2654435761) >>> 8) % 50);

function ours(model: Transformer): Float64Array {
  using _ = device.scope();
  const tape = new Tape(false);
  const batch = model.upload({ tokens, cuSeqlens: Int32Array.of(0, T) });
  return linear(tape, model.forward(tape, batch), model.headWeight).read();
}

needs(python !== undefined, "no Python with PyTorch").each<[string, ModelConfigInput]>([
  ["nsa_with_mlp_compression_and_a_tied_head", tiny],
  [
    "weighted_compression_norms_and_wider_values",
    { ...tiny, compress: "weighted", qkNorm: true, valueHeadDim: 12 },
  ],
  [
    "mean_compression_biases_and_layers_that_differ",
    {
      ...tiny,
      compress: "mean",
      compressedRope: "none",
      qkvBias: true,
      tieEmbeddings: false,
      numLayers: 3,
      attentionLayers: ["nsa", "window", "full"],
    },
  ],
])("%s_gives_equal_logits", async (_, input) => {
  const model = new Transformer(device, resolveModelConfig(input), "f64");
  model.parameters.init(11);
  // What the file holds: fp32. Everything else is computed in double on both sides, so no near tie is decided apart.
  const { flat } = model.parameters;
  flat.write(flat.read().map(Math.fround));
  const folder = join(mkdtempSync(join(tmpdir(), "nsa-export-")), "model");
  await exportHuggingFace(model, folder);
  const script = join(import.meta.dirname, "hf-logits.py");
  const stub = has(python!, "transformers") ? [] : ["--stub"];
  const run = spawnSync(python!, [script, ...stub, folder, ...Array.from(tokens, String)], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  expect(run.stderr.split("\n").filter((line) => line.includes("Error"))).toEqual([]);
  const theirs: number[] = JSON.parse(run.stdout.trim().split("\n").at(-1)!).flat();
  const mine = ours(model);
  expect(theirs).toHaveLength(mine.length);
  const gap = Math.max(...theirs.map((x, i) => Math.abs(x - mine[i]!)));
  expect(gap).toBeLessThan(1e-9);
  model.free();
});
