// A checked architecture with its derived sizes: what recipes, checkpoints and Hugging Face import come to.
import { NsaError } from "@nsa/core";
import { checkTargets } from "../adapter/weights.ts";
import { kindsOf } from "../attention/registry.ts";
import { headKinds } from "../heads/registry.ts";
import { mlpKinds } from "../mlp/registry.ts";
import { layoutOf } from "../parameters/layout.ts";
import { type ModelConfig, type ModelConfigInput, modelConfigSchema } from "./schema.ts";

function refuse(what: string, why: string, fix: string): never {
  throw new NsaError({ code: "model_config_invalid", what, why, fix, exitCode: 2 });
}

/** Fills defaults and derived sizes. Throws NsaError `model_config_invalid` (exit 2). */
export function resolveModelConfig(input: ModelConfigInput): ModelConfig {
  const c = modelConfigSchema.parse(input);
  if (c.headDim === undefined && c.dModel % c.numHeads) {
    refuse(`d_model ${c.dModel} over ${c.numHeads} heads`, "it does not divide", "set head_dim");
  }
  if (c.numHeads % c.numKvHeads) {
    refuse(
      `num_kv_heads ${c.numKvHeads} for ${c.numHeads} heads`,
      "a group must hold the same number of query heads",
      "choose num_kv_heads that divides num_heads",
    );
  }
  const headDim = c.headDim ?? c.dModel / c.numHeads;
  if (headDim % 2) refuse(`head_dim ${headDim}`, "rotary embedding turns pairs of channels", "make it even");
  if (c.rotaryDim !== undefined && (c.rotaryDim % 2 || c.rotaryDim > headDim)) {
    refuse(
      `rotary_dim ${c.rotaryDim}`,
      `it is no even number up to head_dim, ${headDim}`,
      "change rotary_dim",
    );
  }
  if (c.attentionLayers && c.attentionLayers.length !== c.numLayers) {
    refuse(
      `attention_layers names ${c.attentionLayers.length} layers`,
      `num_layers is ${c.numLayers}`,
      "name one kind per layer, or use `attention` for all",
    );
  }
  const resolved = { ...c, headDim, valueHeadDim: c.valueHeadDim ?? headDim };
  // Sizes that cannot work are refused here, not after minutes of reading data.
  for (const kind of kindsOf(resolved)) kind.check?.(resolved);
  mlpKinds.get(resolved.mlp).check?.(resolved);
  headKinds.get(resolved.head).check?.(resolved);
  if (resolved.lora) checkTargets(resolved.lora, layoutOf({ ...resolved, lora: undefined }).weights);
  return resolved;
}
