// Distillation as a variant of fine-tuning: the teacher's distributions in place of, or beside, the examples' tokens; on the examples, or on
// what the student writes itself.
import { join } from "node:path";
import { type BatchSource, ExitCode, NsaError } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { INFERENCE_ONLY, loadModel, type Transformer } from "@nsa/model";
import { distillation } from "../../distill/loss.ts";
import { crossEntropy, type LossFunction } from "../../loss.ts";
import type { SftConfig } from "./config.ts";
import { checkDistill, divergenceOf } from "./distill-config.ts";
import type { Example } from "./source.ts";
import { StudentSamples } from "./student-samples.ts";

/** Throws NsaError `tokenizer_mismatch` (exit 3). */
async function openTeacher(folder: string, student: Transformer, tokenizer: Tokenizer): Promise<Transformer> {
  const mismatch = (why: string) =>
    new NsaError({
      code: "tokenizer_mismatch",
      what: `the teacher ${folder} does not fit the student`,
      why,
      fix: "take a teacher with the student's tokenizer.json, or distil by samples: nsa sample, then nsa sft",
      exitCode: ExitCode.data,
    });
  const own = Tokenizer.load(join(folder, "tokenizer.json"));
  if (own.hash !== tokenizer.hash)
    throw mismatch("they have other tokenizers, and distributions are compared token by token");
  const teacher = await loadModel(student.device, folder, {}, INFERENCE_ONLY);
  const [theirs, ours] = [teacher, student].map((m) => m.headWeight.shape[0]);
  if (theirs !== ours) throw mismatch(`its head gives ${theirs} numbers and the student's ${ours}`);
  return teacher;
}

/** The loss of a recipe, and its source of steps where the examples themselves are not what is learned from. */
export async function objectiveOf(
  { distill, train, seed }: SftConfig,
  {
    student,
    tokenizer,
    examples,
  }: { student: Transformer; tokenizer: Tokenizer; examples: readonly Example[] },
): Promise<{ loss: LossFunction; source?: BatchSource }> {
  if (!distill) return { loss: crossEntropy };
  checkDistill(distill);
  const teacher = await openTeacher(distill.teacher, student, tokenizer);
  const divergence = divergenceOf(distill);
  const loss = distillation(student, teacher, { ...distill, divergence });
  if (distill.kind === "logits") return { loss };
  return {
    loss,
    source: new StudentSamples({ student, tokenizer, examples }, { ...distill, ...train, seed }),
  };
}
