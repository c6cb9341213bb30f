// The output heads by name. A plugin registers its own beside these.
import { ExitCode, NsaError, Registry } from "@nsa/core";
import type { ModelConfig } from "../config/schema.ts";
import type { HeadKind } from "./kind.ts";
import { lm } from "./lm.ts";
import { lmScalar, scalar } from "./scalar.ts";

export const headKinds = new Registry<HeadKind>("head", {
  needs: { weights: "function", forward: "function", logits: "function" },
}).register(lm, scalar, lmScalar);

/**
 * Key of the weight [V, D] whose products with hidden states are the logits. Throws NsaError `head_without_logits` (exit 3) for a model
 * that gives no log-probabilities, such as a reward model.
 */
export function logitsWeightOf(config: ModelConfig): string {
  const key = headKinds.get(config.head).logitsWeight?.(config);
  if (key !== undefined) return key;
  throw new NsaError({
    code: "head_without_logits",
    what: `the model has the output head "${config.head}"`,
    why: "it gives numbers, not probabilities of tokens, so it can neither generate nor be trained on text",
    fix: "use the checkpoint of a language model; this one serves as a reward: `rewards: [{kind: model, checkpoint: …}]`",
    exitCode: ExitCode.data,
  });
}
