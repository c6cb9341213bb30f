// The weights of adapters: for every adapted projection A [r, in] and B [out, r], under PEFT's names without its prefix.
//
// The A of a fused weight's projections lie below one another and are one weight, so that one product makes all of x·Aᵀ; each B is a
// weight of its own. A is drawn with the variance of PEFT's default (uniform on ±1/√in), B is 0: at first the adapter changes nothing.
import { didYouMean, ExitCode, NsaError } from "@nsa/core";
import type { ModelConfig } from "../config/schema.ts";
import { matrix, type PartSpec, type WeightSpec } from "../parameters/weight-spec.ts";
import { type AdapterSize, adapterSize, type LoraConfig, matchesTarget, targetName } from "./config.ts";

/** A projection inside a weight, and its adapter. */
export interface AdaptedPart extends AdapterSize {
  part: PartSpec;
  /** Path of the linear layer: the tensor's name without `.weight`. */
  path: string;
}

const pathOf = ({ name }: PartSpec) => name.replace(/\.weight$/, "");
export const nameOfA = (path: string) => `${path}.lora_A.weight`;
export const nameOfB = (path: string) => `${path}.lora_B.weight`;
export const isAdapterTensor = (name: string) => /\.lora_[AB]\.weight$/.test(name);

/** The adapted projections of a weight, in its order. */
export function adaptedParts({ lora }: ModelConfig, weight: WeightSpec): AdaptedPart[] {
  if (!lora || !weight.linear) return [];
  return weight.parts.flatMap((part) => {
    const path = pathOf(part);
    const size = adapterSize(lora, path);
    return size ? [{ part, path, ...size }] : [];
  });
}

/** Key of the stacked A beside a weight, and of the B of a module. */
export const keyOfA = (weightKey: string) => `${weightKey}.lora_a`;
export const isKeyOfA = (key: string) => key.endsWith(".lora_a");
export const keyOfB = (path: string) => `${path}.lora_b`;

/** The weights of the adapters beside one weight; none where it has no adapted projection. */
export function adapterWeights(config: ModelConfig, weight: WeightSpec): WeightSpec[] {
  const parts = adaptedParts(config, weight);
  if (parts.length === 0) return [];
  const inputs = weight.shape[1]!;
  const rows = parts.map(({ path, rank }): [string, number] => [nameOfA(path), rank]);
  return [
    matrix(keyOfA(weight.key), rows, inputs, 1 / Math.sqrt(3 * inputs)),
    ...parts.map(
      ({ path, part, rank }): WeightSpec => ({
        ...matrix(keyOfB(path), [[nameOfB(path), part.shape[0]!]], rank, 0),
        init: { kind: "constant", value: 0 },
      }),
    ),
  ];
}

/** Refuses targets that name no linear layer of the model. Throws NsaError `adapter_target_unknown` (exit 2). */
export function checkTargets(lora: LoraConfig, weights: readonly WeightSpec[]): void {
  const paths = weights.filter((w) => w.linear).flatMap((w) => w.parts.map(pathOf));
  for (const target of lora.targets.map(targetName)) {
    if (paths.some((path) => matchesTarget(target, path))) continue;
    const ends = [...new Set(paths.map((path) => path.slice(path.lastIndexOf(".") + 1)))];
    const near = didYouMean(target, ends);
    throw new NsaError({
      code: "adapter_target_unknown",
      what: `adapter target ${target}`,
      why: `no linear layer of the model has this name${near ? `; did you mean ${near}?` : ""}`,
      fix: `name some of ${ends.join(", ")}, or all-linear`,
      exitCode: ExitCode.usage,
    });
  }
}
