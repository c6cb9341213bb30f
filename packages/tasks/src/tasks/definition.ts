// What a task is: where its records lie, which fields they have, how they are asked and read.
import { readFileSync } from "node:fs";
import { ExitCode, loadConfig, NsaError } from "@nsa/core";
import { z } from "zod";
import { answerForms } from "../grader/form.ts";

function isExpression(source: string): boolean {
  try {
    new RegExp(source, "gu");
    return true;
  } catch {
    return false;
  }
}

export const taskSchema = z.strictObject({
  name: z.string().describe("Name in tables and sample files"),
  about: z.string().default("").describe("One line"),
  files: z
    .array(z.string())
    .min(1)
    .describe("JSONL files (`*` in file names, also .gz), relative to the recipe's data_dir"),
  fields: z
    .strictObject({
      id: z.string().default("id").describe("Field of a stable name; the record's number where it is absent"),
      question: z.string().default("question").describe("Field of the question"),
      answer: z.string().default("answer").describe("Field of the gold answer"),
      options: z.string().optional().describe("Field of the options of a multiple choice"),
      tests: z
        .string()
        .optional()
        .describe(
          "Field of unit tests, Python statements or {input, output} for stdin and stdout; a record that has it needs no answer",
        ),
    })
    .prefault({})
    .describe("Names of the records' fields"),
  layout: z
    .enum(["fields", "humaneval", "mbpp", "repository"])
    .default("fields")
    .describe(
      "Records by `fields`, in the published layout of HumanEval or MBPP, or repository: {question, files, setup, tests}, where the answer is a patch; these are judged by their tests",
    ),
  answerAfter: z
    .string()
    .optional()
    .describe("The gold answer is what follows the last of this text (GSM8K: `####`)"),
  answerPattern: z
    .string()
    .refine(isExpression, "it is no regular expression")
    .optional()
    .describe(
      "Regular expression for the gold answer within the field's text: its first group, or all that it matches, at the last place where it does. `^([-\\d.]+)` takes 9 of `9 (apples)`; a record where it matches nothing is an error",
    ),
  answerForm: z
    .enum(answerForms)
    .default("value")
    .describe(
      "What a right answer may be: number (one numeral), value (a number, √2, 2π, a set, a polynomial … but no arithmetic left undone and not the question's own expression), any (every form of equal value)",
    ),
  prompt: z
    .string()
    .default("Question: {question}\nAnswer:")
    .describe("Template of one problem: {question} and, for multiple choice, {options}"),
  shot: z
    .string()
    .default(" {solution}\nThe answer is {answer}.")
    .describe("Template of a solved example's answer"),
  shots: z
    .array(
      z.strictObject({
        question: z.string().describe("Question"),
        solution: z.string().default("").describe("Worked solution"),
        answer: z.string().describe("Final answer"),
        program: z
          .string()
          .optional()
          .describe("Python that prints the answer: the solution by program of thought"),
        options: z.array(z.string()).optional().describe("Options of a multiple choice"),
      }),
    )
    .default([])
    .describe("Solved examples that may stand before the problem"),
  stop: z.array(z.string()).default(["\nQuestion:", "\n\n\n"]).describe("Texts that end an answer"),
  maxTokens: z.number().int().min(1).default(256).describe("Longest answer, tokens"),
  fallback: z
    .enum(["none", "latex", "any"])
    .default("any")
    .describe(
      "What counts as the answer where none is marked: nothing, the last formula, the last formula or number",
    ),
  language: z
    .string()
    .optional()
    .describe("ISO 639 code that answers should be in; reported as language share"),
  hub: z
    .strictObject({
      repo: z.string().describe("Data set on the Hugging Face hub"),
      path: z.string().describe("File in it: .jsonl, .jsonl.gz or .parquet"),
      record: z
        .record(z.string(), z.string())
        .default({})
        .describe(
          "Fields that are named otherwise there, as templates of its own: `answer: '{target}'`; one field alone keeps its kind",
        ),
      revision: z.string().default("main").describe("Branch, tag or commit"),
    })
    .optional()
    .describe("Where `nsa eval fetch` gets the records"),
});

export type TaskDefinition = z.output<typeof taskSchema>;
export type TaskInput = z.input<typeof taskSchema>;

/** Reads a task from a YAML file. Throws NsaError config_* (exit 2) with file:line:column. */
export function readTaskFile(path: string): TaskDefinition {
  try {
    readFileSync(path);
  } catch (cause) {
    throw new NsaError({
      code: "task_missing",
      what: `no task file ${path}`,
      why: (cause as Error).message,
      fix: "name a built-in task or an existing YAML file",
      exitCode: ExitCode.usage,
      cause,
    });
  }
  return loadConfig(taskSchema, path).config;
}
