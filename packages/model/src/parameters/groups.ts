// Parameter groups: which weights are trained, which of them decay, and how fast each learns.
//
// Every weight belongs to one group: the first whose patterns name it, else the group "default". A group that is not trained is
// frozen: it has no gradient and no optimizer state, so its memory is that of its weights alone.
import { didYouMean, ExitCode, NsaError } from "@nsa/core";
import type { WeightSpec } from "./weight-spec.ts";

export interface ParameterGroup {
  name: string;
  /** Names of checkpoint tensors, `*` for any text; without them the group takes every weight that no earlier one has. */
  weights?: readonly string[] | undefined;
  /** Default true. */
  trainable?: boolean | undefined;
  /** Whether weight decay applies to its matrices; vectors never decay. Default true. */
  decay?: boolean | undefined;
  /** Factor on the learning rate. Default 1. */
  lrMultiplier?: number | undefined;
  /** Kind of the optimizer; by default the recipe's. */
  optimizer?: string | undefined;
  /** Whether data-parallel ranks hold its optimizer state whole or a share each. Default replicated; nothing shares yet. */
  shard?: "replicated" | "optimizer" | undefined;
  /**
   * Whether a frozen group of a model that computes in bf16 has fp32 masters. Without them its matrices are held in bf16 alone, and
   * the model cannot be saved: its checkpoint would hold rounded weights. Default true; a trained group always has them.
   */
  masters?: boolean | undefined;
}

/** All weights frozen and held in the dtype of computation: reference policies, and models that only generate or evaluate. */
export const INFERENCE_ONLY: readonly ParameterGroup[] = [
  { name: "default", trainable: false, masters: false },
];

/** A group with its defaults filled in and its weights found. */
export interface GroupWeights {
  name: string;
  trainable: boolean;
  decay: boolean;
  lrMultiplier: number;
  optimizer: string | undefined;
  shard: "replicated" | "optimizer";
  masters: boolean;
  weights: WeightSpec[];
}

function refuse(group: string, why: string, fix: string): never {
  throw new NsaError({
    code: "parameter_group_invalid",
    what: `parameter group "${group}"`,
    why,
    fix,
    exitCode: ExitCode.usage,
  });
}

/** Whether a name fits a pattern in which `*` is any text. */
const fits = (pattern: string, name: string) =>
  new RegExp(
    `^${pattern
      .split("*")
      .map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"))
      .join(".*")}$`,
  ).test(name);

/** Whether the group's patterns name the weight: all of its tensors or none, for ops take it whole. */
function owns(group: ParameterGroup, weight: WeightSpec): boolean {
  const { weights } = group;
  if (!weights) return true;
  const named = weight.parts.filter(({ name }) => weights.some((pattern) => fits(pattern, name)));
  if (named.length > 0 && named.length < weight.parts.length) {
    const other = weight.parts.find((part) => !named.includes(part))!;
    refuse(
      group.name,
      `it has ${named[0]!.name} and not ${other.name}, which are one matrix of the same product`,
      "name all tensors of the product, or none",
    );
  }
  return named.length > 0;
}

function checkNames(groups: readonly ParameterGroup[], weights: readonly WeightSpec[]): void {
  const tensors = weights.flatMap((w) => w.parts.map((part) => part.name));
  for (const [i, group] of groups.entries()) {
    if (groups.findIndex((g) => g.name === group.name) !== i)
      refuse(group.name, "two groups have this name", "give each group a name of its own");
    for (const pattern of group.weights ?? []) {
      if (tensors.some((name) => fits(pattern, name))) continue;
      const near = didYouMean(pattern, tensors);
      refuse(
        group.name,
        `no tensor of the model is named ${pattern}${near ? `; did you mean ${near}?` : ""}`,
        "name tensors as the checkpoint does, with * for any text",
      );
    }
  }
}

/**
 * The groups of a model's weights, in the order given, those of no group in "default" behind them. Groups without weights are left out.
 * Throws NsaError `parameter_group_invalid` (exit 2) for a pattern that names nothing, a fused product that is split, a name twice.
 */
export function groupWeights(
  weights: readonly WeightSpec[],
  groups: readonly ParameterGroup[] = [],
): GroupWeights[] {
  checkNames(groups, weights);
  const all = groups.some((g) => g.weights === undefined) ? groups : [...groups, { name: "default" }];
  const left = new Set(weights);
  return all.flatMap((group) => {
    const own = [...left].filter((w) => owns(group, w));
    for (const w of own) left.delete(w);
    if (own.length === 0) return [];
    const { name, trainable = true, decay = true, lrMultiplier = 1, optimizer, shard = "replicated" } = group;
    const masters = trainable || (group.masters ?? true);
    return [{ name, trainable, decay, lrMultiplier, optimizer, shard, masters, weights: own }];
  });
}
