// The parameter groups of a model with adapters: adapters, and numbers of a head of its own, are trained; all else is frozen.
//
// Frozen matrices of a model that computes in bf16 have no fp32 masters: their memory is two bytes a number. Groups of a recipe come
// first, so that it can train more (norms, say) or give B another learning rate than A (LoRA+).
import type { ModelConfig } from "../config/schema.ts";
import { headKinds } from "../heads/registry.ts";
import type { ParameterGroup } from "../parameters/groups.ts";

/** Names of the tensors of a head besides its logits: a reward model's `score.weight`. */
export function headTensors(config: ModelConfig): string[] {
  const head = headKinds.get(config.head);
  const logits = head.logitsWeight?.(config);
  return head
    .weights(config)
    .filter(({ key }) => key !== logits)
    .flatMap((w) => w.parts.map(({ name }) => name));
}

/** The groups that a model has, given those that were asked for. */
export function effectiveGroups(
  config: ModelConfig,
  groups?: readonly ParameterGroup[],
): readonly ParameterGroup[] | undefined {
  // A group without patterns takes all that is left: nothing can follow it.
  if (!config.lora || groups?.some((g) => g.weights === undefined)) return groups;
  const head = headTensors(config);
  return [
    ...(groups ?? []),
    { name: "adapters", weights: ["*.lora_A.weight", "*.lora_B.weight"] },
    ...(head.length > 0 ? [{ name: "head beside adapters", weights: head }] : []),
    { name: "base", trainable: false, masters: false },
  ];
}
