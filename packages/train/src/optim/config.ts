// The settings of an update.
import { memberName } from "@nsa/core";
import { z } from "zod";

export const optimizerSchema = z.strictObject({
  kind: memberName("optimizer")
    .default("adamw")
    .describe("muon: orthogonalised momentum for hidden matrices"),
  lr: z.number().min(0).default(1e-3).describe("Peak learning rate"),
  beta1: z.number().min(0).max(1).default(0.9).describe("Decay of the first moment"),
  beta2: z.number().min(0).max(1).default(0.95).describe("Decay of the second moment"),
  eps: z.number().positive().default(1e-8).describe("ε of AdamW"),
  weightDecay: z.number().min(0).default(0.1).describe("Decoupled decay of matrices; vectors have none"),
  clip: z.number().min(0).default(1).describe("Largest global gradient norm; 0 = no clipping"),
  stateDtype: z
    .enum(["fp32", "bf16"])
    .default("fp32")
    .describe(
      "Moments of AdamW; bf16 halves them, rounded up or down at random so that small changes are not lost",
    ),
  muonMomentum: z.number().min(0).max(1).default(0.95).describe("Momentum of Muon"),
  options: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("Settings of an optimizer from a plugin, by its own names"),
});

const groupSchema = z.strictObject({
  name: z.string().describe("Name of the group in messages"),
  weights: z
    .array(z.string())
    .min(1)
    .describe("Tensors by their names in checkpoints, `*` for any text: model.layers.0.*"),
  trainable: z
    .boolean()
    .default(true)
    .describe("false freezes the group: it has no gradient and no optimizer state"),
  decay: z.boolean().default(true).describe("Whether weight decay applies to its matrices"),
  lrMultiplier: z.number().min(0).default(1).describe("Factor on the learning rate"),
  optimizer: memberName("optimizer").optional().describe("Kind of its update; by default optimizer.kind"),
});

/** The groups of a recipe; weights that none of them names are trained as usual. */
export const groupsSchema = z.array(groupSchema).optional();

export type OptimizerConfig = z.output<typeof optimizerSchema>;
