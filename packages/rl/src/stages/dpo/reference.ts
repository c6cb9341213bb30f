// The policy that the margin is measured against: its log-probabilities, computed once a batch, without gradients.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Batch, ExitCode, NsaError } from "@nsa/core";
import type { Device } from "@nsa/kernels";
import {
  adapterReference,
  INFERENCE_ONLY,
  loadModel,
  type ReferencePolicy,
  type Transformer,
  wholeReference,
} from "@nsa/model";
import type { DpoConfig } from "./config.ts";

/** Folder of the reference. */
export const referenceFolder = ({ init, reference }: Pick<DpoConfig, "init" | "reference">): string =>
  reference === "init" ? init.checkpoint : reference;

/** Throws NsaError `tokenizer_mismatch` (exit 3) when the reference was trained with other tokens than the policy. */
export async function loadReference(
  device: Device,
  config: DpoConfig,
  policy: Transformer,
): Promise<ReferencePolicy> {
  const folder = referenceFolder(config);
  const tokens = (of: string) => readFileSync(join(of, "tokenizer.json"), "utf8");
  if (folder !== config.init.checkpoint && tokens(folder) !== tokens(config.init.checkpoint)) {
    throw new NsaError({
      code: "tokenizer_mismatch",
      what: `the reference ${folder} has another tokenizer than ${config.init.checkpoint}`,
      why: "log-probabilities of one text are compared token by token",
      fix: "set reference to init, or to a checkpoint with the same tokenizer.json",
      exitCode: ExitCode.data,
    });
  }
  // New adapters change nothing yet: the policy without them is where it began.
  const { adapter, init } = config;
  if (adapter && folder === init.checkpoint) return adapterReference(policy, adapter.initFrom === "");
  return wholeReference(await loadModel(device, folder, {}, INFERENCE_ONLY));
}

/**
 * Writes the reference's log-probabilities into the batch. Throws NsaError `diverged` (exit 5) where one is not finite: no margin
 * could be made of it.
 */
export function fillReference(reference: ReferencePolicy, batch: Batch): Batch {
  const { logp } = reference.logprobs(batch);
  batch.columns!.ref_logp!.set(logp);
  if (logp.every(Number.isFinite)) return batch;
  throw new NsaError({
    code: "diverged",
    what: "the reference gives a log-probability that is not finite",
    why: "its weights hold a NaN or overflow on these tokens",
    fix: "take another checkpoint as init.checkpoint or reference",
    exitCode: ExitCode.diverged,
  });
}
