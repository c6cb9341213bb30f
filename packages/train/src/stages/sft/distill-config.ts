// Settings of distillation in the recipe of `nsa sft`.
import { ExitCode, memberName, NsaError } from "@nsa/core";
import { z } from "zod";
import { divergences } from "../../distill/divergences.ts";

const count = z.number().int().min(1);

export const distillSchema = z
  .strictObject({
    teacher: z.string().describe("Checkpoint folder of the teacher; it must have the student's tokenizer"),
    kind: z
      .enum(["logits", "on_policy"])
      .default("logits")
      .describe(
        "logits: the teacher's distributions at the examples' tokens; on_policy: at the tokens of outputs that the student samples for the examples' prompts. Outputs of a teacher as examples: `nsa sample`, then this stage without `distill`",
      ),
    divergence: memberName("divergence")
      .optional()
      .describe(
        "forward_kl: KL(teacher ‖ student), by default for logits; reverse_kl: KL(student ‖ teacher), by default for on_policy",
      ),
    temperature: z.number().positive().default(1).describe("Logits of both are divided by it"),
    topK: z
      .number()
      .int()
      .min(0)
      .default(0)
      .describe("forward_kl: the teacher's most likely tokens, scaled to 1 in sum; 0 = the whole vocabulary"),
    weight: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe("logits: share of the divergence in the loss; the rest is cross-entropy of the examples"),
    prompts: count.default(16).describe("on_policy: prompts of a step"),
    samples: count.default(1).describe("on_policy: outputs of a prompt"),
    maxTokens: count.default(256).describe("on_policy: longest output, tokens"),
    samplingTemperature: z.number().min(0).default(1).describe("on_policy: of the student's sampling"),
  })
  .optional();

type DistillConfig = NonNullable<z.output<typeof distillSchema>>;

/** Name of the divergence, where the recipe leaves it to the kind. */
export const divergenceOf = ({ kind, divergence }: DistillConfig) =>
  divergences.get(divergence ?? (kind === "on_policy" ? "reverse_kl" : "forward_kl"));

function refuse(what: string, why: string, fix: string): never {
  throw new NsaError({ code: "distill_invalid", what, why, fix, exitCode: ExitCode.usage });
}

/** Refuses settings that cannot work together. Throws NsaError `distill_invalid` (exit 2). */
export function checkDistill(distill: DistillConfig | undefined): void {
  if (!distill) return;
  const { name, truncates } = divergenceOf(distill);
  if (distill.topK > 0 && !truncates)
    refuse(
      `distill.top_k ${distill.topK} with ${name}`,
      "it reads the teacher's log-probability of every token, and tokens left out have none",
      "set top_k: 0, or divergence: forward_kl",
    );
  if (distill.kind === "on_policy" && distill.weight !== 1)
    refuse(
      `distill.weight ${distill.weight} with kind on_policy`,
      "the rest would be cross-entropy of the student's own samples, which teaches nothing",
      "leave weight out",
    );
}
