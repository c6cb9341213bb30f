// Loss, accuracy and margins of held-out pairs.
import type { Batch, Metrics } from "@nsa/core";
import { logprobs, type Transformer } from "@nsa/model";
import { lossesOf, type PreferenceObjective, pairFigures, pairMetrics } from "./loss.ts";
import { pairSums } from "./pair.ts";

/** Figures of the policy on batches whose reference is filled in; `val/loss` is the mean loss of a pair. */
export function heldOutMetrics(
  policy: Transformer,
  batches: readonly Batch[],
  objective: PreferenceObjective,
): Metrics {
  const { beta } = objective;
  const sums = batches.map((batch) => ({
    policy: pairSums(batch, logprobs(policy, batch).logp),
    reference: pairSums(batch, batch.columns!.ref_logp!),
  }));
  const own = sums.flatMap((s) => s.policy);
  const reference = sums.flatMap((s) => s.reference);
  const margins = own.map((s, i) => s.chosen - reference[i]!.chosen - (s.rejected - reference[i]!.rejected));
  const losses = lossesOf(policy.device, margins, objective);
  return {
    "val/loss": losses.reduce((a, b) => a + b, 0) / losses.length,
    ...pairMetrics(pairFigures(own, reference, beta), own.length, "val/"),
  };
}
