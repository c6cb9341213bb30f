// An update that ranks share out: each updates the weights whose masters and moments it holds, and passes them on.
import type { Device, Tensor } from "@nsa/kernels";
import type { GradientBucket, HeldRun, Parameters, Sharing } from "@nsa/model";
import type { OptimizerContext, OptimizerGroup, UpdatedParameters } from "./kind.ts";

/** Bytes of masters and moments from which on ranks share them out by themselves. */
const SHARED_FROM = 256 * 2 ** 20;

/** Whether ranks share out so many bytes. */
export const sharesBytes = (shareState: "auto" | "always" | "never", bytes: number): boolean =>
  shareState === "always" || (shareState === "auto" && bytes >= SHARED_FROM);

/** Masters, gradients and bf16 copies of a run of weights; masters of an fp32 model are the weights, at the offsets of the layout. */
function parametersOf({ flat, low, gradients }: Parameters, run: HeldRun, device: Device): UpdatedParameters {
  const { offset, held, numel } = run;
  const own = {
    flat: flat.view(low ? held : offset, [numel]),
    low: low?.view(offset, [numel]),
    gradients: gradients!.view(offset, [numel]),
  };
  return {
    ...own,
    layout: { trainableNumel: numel },
    refreshLow: (elements = numel) => {
      if (own.low) device.run("copy", { x: own.flat.view(0, [elements]), y: own.low.view(0, [elements]) });
    },
  };
}

/** The group as a kind sees it, with nothing but the weights of the run, from 0 on. */
function groupOf(group: OptimizerGroup, { weights, offset, numel }: HeldRun): OptimizerGroup {
  const decays = weights[0]!.decay;
  return {
    ...group,
    weights: weights.map((w) => ({ ...w, offset: w.offset - offset })),
    from: 0,
    decayTo: decays ? numel : 0,
    to: numel,
  };
}

/** A context for each run of this rank's weights that belong to one of `groups`; its tensors belong to the innermost scope. */
export function sharedContexts(
  context: Omit<OptimizerContext, "parameters"> & { parameters: Parameters },
  sharing: Sharing,
): OptimizerContext[] {
  const { device, parameters, buffers, groups } = context;
  return sharing.runs().flatMap((run) => {
    const group = groups.find(({ name }) => name === run.group.name);
    if (!group) return [];
    const cut = (t: Tensor) => t.view(run.held, [run.numel]);
    return {
      ...context,
      parameters: parametersOf(parameters, run, device),
      buffers: Object.fromEntries(Object.entries(buffers).map(([name, t]) => [name, cut(t)])),
      groups: [groupOf(group, run)],
    };
  });
}

/** Σ of squares of the summed gradients into `sumsq` (f64), on every rank: each adds those that it has the sums of, the first rank those that all have. */
export function sharedSquares({ device, gradients }: Parameters, sharing: Sharing, sumsq: Tensor): void {
  using _ = device.scope();
  const { rank } = sharing.collectives;
  for (const { weights, offset, numel } of sharing.runs())
    if ((sharing.ownerOf(weights[0]!.key) ?? 0) === rank)
      device.run("sum_squares", { x: gradients!.view(offset, [numel]), y: sumsq });
  sharing.collectives.allReduce(sumsq);
}

/** Every updated weight, as the model computes with it, from its owner to all. */
export function passWeights({ device, flat, low }: Parameters, sharing: Sharing): void {
  using _ = device.scope();
  const { collectives } = sharing;
  const weights = low ?? flat;
  collectives.together(() => {
    for (const { from, to, owner } of sharing.ownedRanges())
      collectives.broadcast(weights.view(from, [to - from]), owner);
  });
  collectives.settle();
}

/** The bucket's gradients become their sum over ranks: on all of them, or on the one that needs it. */
export function sumForOwners(
  { device, gradients }: Parameters,
  sharing: Sharing,
  bucket: GradientBucket,
): void {
  using _ = device.scope();
  const { owned, all } = sharing.bucketPlan(bucket);
  const { collectives } = sharing;
  collectives.together(() => {
    for (const { from, to, owner } of owned) collectives.reduceTo(gradients!.view(from, [to - from]), owner);
    for (const { from, to } of all) collectives.allReduce(gradients!.view(from, [to - from]));
  });
}
