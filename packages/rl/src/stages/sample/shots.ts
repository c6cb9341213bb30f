// Few-shot prompts: solved examples of a file in front of each question, drawn by seed and question.
import { ExitCode, NsaError, Rng } from "@nsa/core";
import { expandInputs } from "@nsa/data";
import { readRecords, renderPrompt } from "@nsa/tasks";
import { z } from "zod";
import { isPart } from "../../task/config.ts";
import type { AskedProblem } from "../../task/problems.ts";
import type { SampleConfig } from "./config.ts";

const STREAM = 71;
/** What stands between two examples, and what a model writes where it goes on to a question of its own. */
export const BETWEEN_SHOTS = "\n\n";

const exampleSchema = z.looseObject({
  question: z.string(),
  completion: z.string(),
  part: z.string().optional(),
});
type ShotExample = z.output<typeof exampleSchema>;

function refuse(what: string, why: string, fix: string): NsaError {
  return new NsaError({ code: "sample_examples_invalid", what, why, fix, exitCode: ExitCode.data });
}

function readExamples(files: string[]): ShotExample[] {
  const found: ShotExample[] = [];
  for (const path of expandInputs(files))
    for (const { record, place } of readRecords(path)) {
      const parsed = exampleSchema.safeParse(record);
      if (!parsed.success)
        throw refuse(
          place,
          "it is no {question, completion}, with a `part` where it is for one",
          "correct the record",
        );
      found.push(parsed.data);
    }
  return found;
}

/** Puts examples in front of questions. `text` stays the question alone; the ids are those of the whole prompt. */
export type Shots = (asked: AskedProblem, question: number) => AskedProblem & { shown?: string };

/** Throws NsaError `sample_examples_invalid` (exit 3) where a question has too few examples. */
export function shotsOf(
  { prompts, seed, task }: SampleConfig,
  encode: (text: string) => readonly number[],
): Shots {
  const { shots, examples, shotTemplate = task.template } = prompts;
  if (shots === 0) return (asked) => asked;
  const all = readExamples(examples);
  const rng = new Rng(seed, STREAM);
  return (asked, question) => {
    const fit = all.filter(
      (e) => e.question !== asked.question && (e.part === undefined || isPart(asked.part, e.part)),
    );
    if (fit.length < shots)
      throw refuse(
        examples.join(", "),
        `${fit.length} of its ${all.length} examples can stand in front of ${asked.id}, and prompts.shots is ${shots}`,
        "add examples, or lower prompts.shots",
      );
    const texts = rng
      .shuffle(fit, question)
      .slice(0, shots)
      .map((e) => renderPrompt(shotTemplate, e.question) + e.completion);
    const shown = [...texts, renderPrompt(shotTemplate, asked.question)].join(BETWEEN_SHOTS);
    return { ...asked, prompt: encode(shown), shown };
  };
}
