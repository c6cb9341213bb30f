// A case of `bench train` in PyTorch on the same card, from a Python process beside us.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ModelConfig, type ModelConfigInput, resolveModelConfig } from "@nsa/model";

const script = fileURLToPath(new URL("train_torch.py", import.meta.url));

export interface TorchTraining {
  tokensPerSecond: number;
  gib: number;
}

/** Full attention, whatever the case has; undefined where there is no PyTorch with a GPU, or it fails (stderr says how). */
export function torchTraining(
  m: ModelConfig,
  { context, micro, step }: { context: number; micro: number; step: number },
  world = 1,
): TorchTraining | undefined {
  const shape = {
    layers: m.numLayers,
    d: m.dModel,
    heads: m.numHeads,
    kv: m.numKvHeads,
    ff: m.dFf,
    vocab: m.vocabSize,
    context,
    step,
    // Whichever is faster there: ours, or twice as much at once.
    micro: [...new Set([micro, Math.min(2 * micro, step)])].join(","),
  };
  const words = Object.entries(shape).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const launcher = world === 1 ? [] : ["-m", "torch.distributed.run", `--nproc-per-node=${world}`];
  const child = spawnSync("python3", [...launcher, script, ...words], { encoding: "utf8", timeout: 400_000 });
  try {
    if (child.error) throw child.error;
    if (child.status !== 0) throw new Error(child.stderr.trim().split("\n").at(-1));
    return JSON.parse(child.stdout.trim().split("\n").at(-1)!);
  } catch (cause) {
    console.error(`PyTorch: ${(cause as Error).message}`);
    return undefined;
  }
}

/** The same by DistributedDataParallel: `step` tokens on each of `world` GPUs, tokens a second of all. */
export const torchRanks = (
  model: ModelConfigInput,
  sizes: { context: number; micro: number; step: number },
  world: number,
): TorchTraining | undefined => torchTraining(resolveModelConfig(model), sizes, world);
