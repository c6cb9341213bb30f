// The largest model of a recipe's shape that fits the memory of a machine, and what fills it: for `--dry-run`.
//
// The recipe's own estimate is computed for larger and smaller members of the family of its model (more heads, width and layers at once)
// until one fits and the next does not.
import { totalmem } from "node:os";
import type { Resize, StageDefinition } from "@nsa/core";
import { openDevice } from "@nsa/kernels";
import { familyMember, type ModelConfig } from "@nsa/model";

/** Share of the memory that a run may fill: the rest is the driver's, the program's and gaps between tensors. */
const USABLE = 0.95;
/** The largest size that is searched, in KV heads. */
const MAX_UNITS = 4096;

type Estimate = Record<string, number>;

export interface LargestModel {
  /** Bytes that a run may fill. */
  memory: number;
  /** The largest that fits; undefined where not even the smallest does. */
  fits?: { model: ModelConfig; estimate: Estimate };
  /** The next size; undefined where every size fits. */
  next?: { model: ModelConfig; estimate: Estimate };
}

/** Bytes of memory of a device; `limitMb`: what the recipe allows, 0 = all. */
export function memoryOf(wanted: string, limitMb = 0): number {
  const device = openDevice(wanted);
  const { memory_bytes: own } = device.info;
  device.close();
  const container = process.constrainedMemory();
  const host = container > 0 ? Math.min(totalmem(), container) : totalmem();
  const all = typeof own === "number" ? own : host;
  return limitMb > 0 ? Math.min(all, limitMb * 2 ** 20) : all;
}

/** Of one of `world` ranks, the one that needs most. Undefined for a stage whose memory does not depend on a model. */
export function largestModel(
  { estimate }: Pick<StageDefinition, "estimate">,
  config: unknown,
  device: string,
  memory: number,
  world = 1,
): LargestModel | undefined {
  const limit = memory * USABLE;
  const at = (n: number) => {
    let model: ModelConfig | undefined;
    const resize: Resize = (first) => {
      const member = familyMember(first as unknown as ModelConfig, n);
      model ??= member;
      return member as unknown as typeof first;
    };
    const of = estimate(config, device, resize, world);
    return model && of.memory_bytes !== undefined ? { model, estimate: of } : undefined;
  };
  const fits = (n: number) => at(n)!.estimate.memory_bytes! <= limit;
  if (!at(1)) return undefined;
  if (!fits(1)) return { memory, next: at(1)! };
  let [low, high] = [1, 2];
  while (high <= MAX_UNITS && fits(high)) [low, high] = [high, 2 * high];
  if (high > MAX_UNITS) return { memory, fits: at(low)! };
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return { memory, fits: at(low)!, next: at(high)! };
}

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
const size = ({ model }: { model: ModelConfig }) =>
  `${model.numLayers} layers of width ${model.dModel} with ${model.numHeads} heads`;

/** What the memory of an estimate is made of, the largest part first. */
function partsOf(estimate: Estimate): string {
  const names = {
    parameters: "weights, gradients and moments",
    activations: "activations",
    cache: "KV cache",
  };
  const parts = Object.entries(estimate).flatMap(([key, bytes]) => {
    const name = /^memory_(\w+)_bytes$/.exec(key)?.[1];
    return name && bytes > 0
      ? [[names[name as keyof typeof names] ?? name.replaceAll("_", " "), bytes] as const]
      : [];
  });
  parts.sort((a, b) => b[1] - a[1]);
  return parts.map(([name, bytes]) => `${name} ${gib(bytes)}`).join(", ");
}

/** One line for people. `count` writes a number of parameters. */
export function describeLargest(
  { memory, fits, next }: LargestModel,
  count: (parameters: number) => string,
): string {
  const of = (x: NonNullable<LargestModel["fits"]>) =>
    `${count(x.estimate.parameters!)} parameters (${size(x)})`;
  const why = next && `${of(next)} need ${gib(next.estimate.memory_bytes!)}: ${partsOf(next.estimate)}`;
  if (!fits) return `none of this shape fits ${gib(memory)}: ${why}`;
  const taken = `${of(fits)} take ${gib(fits.estimate.memory_bytes!)} of ${gib(memory)}`;
  return why ? `${taken}; the next size, ${why}` : taken;
}
