// The `task` of a recipe: where its questions come from, how they are asked, and what may answer them.
import { answerForms } from "@nsa/tasks";
import { z } from "zod";

const share = z.number().min(0).max(1);
const count = z.number().int().min(1);

/** A part of a mixed task. */
export const mixPart = z.strictObject({
  family: z.string().describe("Problem family"),
  difficulty: count.describe("Of the family"),
  share: z.number().positive().describe("Weight of this part among the questions"),
});

/** Name of a part of a task: family_difficulty. */
export const partName = ({ family, difficulty }: { family: string; difficulty: number }): string =>
  `${family}_${difficulty}`;

/** Whether a part of a mix has this name, which may leave its difficulty out. */
export const isPart = (part: string | undefined, name: string): boolean =>
  part !== undefined && (name === part || name === part.replace(/_\d+$/, ""));

/** What decides the questions of a step beside the task. */
export interface QuestionPlan {
  /** Shares of the parts of task.mix, in its order; they sum to 1. */
  mix?: readonly number[];
  /** Range of measured pass rates. */
  passRate?: { min: number; max: number };
}

export const rlTaskSchema = z
  .strictObject({
    family: z
      .string()
      .default("addition")
      .describe(
        "Problem family: addition, arithmetic, modular, products, links, functions, repairs, countdown, word_problems, column_sums, column_differences, greetings or lists",
      ),
    difficulty: count
      .default(2)
      .describe("Of the family: digits, links, numbers (countdown) or steps (word_problems)"),
    mix: z.array(mixPart).default([]).describe("Several families in one task, instead of a single one"),
    file: z
      .string()
      .default("")
      .describe("JSONL with question and answer, or with question and tests, instead of a family"),
    task: z
      .string()
      .default("")
      .describe("Built-in task of `nsa eval tasks`, or a YAML file with one, instead of a family"),
    dataDir: z.string().default("data").describe("task: folder of its records"),
    files: z
      .array(z.string())
      .default([])
      .describe("task: training records in place of its own, which are then the held-out ones"),
    limit: count.optional().describe("file, task: number of problems to use, the first ones"),
    passRate: z
      .strictObject({
        min: share.default(0).describe("Smallest pass rate"),
        max: share.default(1).describe("Largest pass rate"),
      })
      .optional()
      .describe(
        "file: only the problems whose `pass_rate` lies in this range, as `nsa sample` writes pool.jsonl",
      ),
    answerForm: z
      .enum(answerForms)
      .optional()
      .describe(
        "What a right answer may be, in place of the task's own: number, value or any (default for a `file`: value)",
      ),
    template: z
      .string()
      .default("r1_zero")
      .describe(
        "r1_zero (verbatim), plain, task (the task's own prompt), chat (the checkpoint's chat template), `chat: ` and a text with " +
          "{question} as the user's message, or a text that contains {question}",
      ),
  })
  .prefault({})
  .describe("Questions");

export type RlTask = z.output<typeof rlTaskSchema>;

/** Names of the parts that a task's problems can have; undefined for tasks of records, which may name parts of their own. */
export function taskParts({ family, difficulty, mix, file, files, task }: RlTask): string[] | undefined {
  if (file !== "" || task !== "" || files.length > 0) return undefined;
  const all = mix.length > 0 ? mix : [{ family, difficulty }];
  return all.map(partName);
}
