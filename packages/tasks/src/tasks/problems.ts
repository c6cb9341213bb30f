// Reads a task's records into problems and prompts; every complaint names file and record.
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { ExitCode, NsaError } from "@nsa/core";
import { expandInputs } from "@nsa/data";
import { z } from "zod";
import { extractAnswer } from "../grader/extract.ts";
import { answerForms } from "../grader/form.ts";
import type { Gold } from "../grader/gold.ts";
import { repositorySchema } from "../protocol/tested-program.ts";
import { readRecords } from "../records.ts";
import type { UnitTest } from "../sandbox/unit-tests.ts";
import type { TaskDefinition } from "./definition.ts";
import { type ProgramLayout, programLayouts } from "./programs.ts";

export interface TaskProblem extends Gold {
  id: string;
  question: string;
}

function complain(place: string, why: string, fix: string): NsaError {
  return new NsaError({ code: "task_record_invalid", what: place, why, fix, exitCode: ExitCode.data });
}

function text(record: Record<string, unknown>, field: string, place: string): string {
  const value = record[field];
  if (typeof value === "string" && value.trim() !== "") return value;
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  const why =
    value === undefined
      ? `it has no field \`${field}\``
      : `\`${field}\` is ${JSON.stringify(value)?.slice(0, 40)}`;
  throw complain(
    place,
    `${why}; the record has ${Object.keys(record).join(", ")}`,
    "correct the record, or the task's `fields`",
  );
}

/** A letter, a number from 0, or the text of the option. */
function optionLetter(answer: string, options: readonly string[], place: string): string {
  const letters = "ABCDEFGHIJ".slice(0, options.length);
  const upper = answer.trim().toUpperCase();
  if (upper.length === 1 && letters.includes(upper)) return upper;
  const index = /^\d+$/.test(upper) ? Number(upper) : options.indexOf(answer);
  if (index >= 0 && index < options.length) return letters[index]!;
  throw complain(
    place,
    `the answer ${JSON.stringify(answer)} is none of its ${options.length} options`,
    "correct the record",
  );
}

function goldAnswer(task: TaskDefinition, record: Record<string, unknown>, place: string): string {
  let answer = text(record, task.fields.answer, place);
  if (task.answerAfter !== undefined) {
    const at = answer.lastIndexOf(task.answerAfter);
    if (at >= 0) answer = answer.slice(at + task.answerAfter.length).trim();
  }
  if (task.answerPattern !== undefined) {
    const match = [...answer.matchAll(new RegExp(task.answerPattern, "gu"))].at(-1);
    const found = (match?.[1] ?? match?.[0] ?? "").trim();
    if (found === "") {
      const why = `answer_pattern ${task.answerPattern} matches nothing in the answer ${JSON.stringify(answer.slice(0, 60))}`;
      throw complain(place, why, "correct the pattern or the record");
    }
    return found;
  }
  // MATH's own files hold the solution; the answer is in its box.
  if (answer.includes("\\boxed") && answer.length > 40) answer = extractAnswer(answer).text;
  return answer;
}

/** A test of what a program prints. */
const unitTestSchema = z.strictObject({ input: z.string(), output: z.string() });

/** The record's unit tests, where the task has any. */
function unitTests(
  task: TaskDefinition,
  record: Record<string, unknown>,
  place: string,
): UnitTest[] | undefined {
  const field = task.fields.tests;
  if (field === undefined || record[field] === undefined) return undefined;
  const tests = record[field];
  const whole = (t: unknown) => typeof t === "string" || unitTestSchema.safeParse(t).success;
  if (Array.isArray(tests) && tests.length > 0 && tests.every(whole)) return tests;
  throw complain(
    place,
    `\`${field}\` is not a list of Python statements or of {input, output}`,
    "correct the record",
  );
}

/** What an answer to a problem with tests continues or patches, as `nsa sample` writes it into a pool. */
function testedBy({ starter, repository }: Record<string, unknown>, place: string) {
  const own = z.object({ starter: z.string().optional(), repository: repositorySchema.optional() });
  const parsed = own.safeParse({ starter, repository });
  if (parsed.success) return parsed.data;
  const { path } = parsed.error.issues[0]!;
  throw complain(
    place,
    `\`${path.join(".")}\` is not what \`nsa sample\` writes there`,
    "correct the record",
  );
}

const goalSchema = z.strictObject({ numbers: z.array(z.number().int()).min(1), target: z.number().int() });

/** The goal of a countdown problem, as `nsa sample` writes it into a pool. */
function ownGoal(record: Record<string, unknown>, place: string) {
  const { countdown } = record;
  if (countdown === undefined) return undefined;
  const parsed = goalSchema.safeParse(countdown);
  if (parsed.success) return parsed.data;
  throw complain(place, "`countdown` is not {numbers, target} of whole numbers", "correct the record");
}

/** The form of a right answer, where the record has its own. */
function ownForm(record: Record<string, unknown>, place: string) {
  const { answer_form: form } = record;
  if (form === undefined) return undefined;
  const parsed = z.enum(answerForms).safeParse(form);
  if (parsed.success) return parsed.data;
  throw complain(place, `\`answer_form\` is none of ${answerForms.join(", ")}`, "correct the record");
}

function programProblem(
  task: TaskDefinition,
  layout: ProgramLayout,
  record: Record<string, unknown>,
  place: string,
  index: number,
): TaskProblem {
  const found = programLayouts[layout](record);
  if (!found)
    throw complain(
      place,
      `it is no record of the layout ${layout}; it has ${Object.keys(record).join(", ")}`,
      "correct the record, or the task's `layout`",
    );
  const id = "task_id" in record ? `${task.name}-${record.task_id}` : `${task.name}-${index}`;
  return { id, answer: "", ...found };
}

export function toProblem(
  task: TaskDefinition,
  record: Record<string, unknown>,
  place: string,
  index: number,
): TaskProblem {
  const { fields } = task;
  if (task.layout !== "fields") return programProblem(task, task.layout, record, place, index);
  const id = fields.id in record ? String(record[fields.id]) : `${task.name}-${index}`;
  const question = text(record, fields.question, place);
  const tests = unitTests(task, record, place);
  if (tests) return { id, question, answer: "", tests, ...testedBy(record, place) };
  const answer = goldAnswer(task, record, place);
  const form = ownForm(record, place);
  const countdown = ownGoal(record, place);
  if (countdown) return { id, question, answer, answerForm: form, countdown };
  const answerForm = form ?? task.answerForm;
  if (fields.options === undefined) return { id, question, answer, answerForm };
  const raw = record[fields.options];
  if (!Array.isArray(raw) || raw.length < 2 || raw.length > 10) {
    throw complain(
      place,
      `\`${fields.options}\` is not a list of 2 to 10 texts`,
      "correct the record, or the task's `fields`",
    );
  }
  const options = raw.map((o: unknown) => {
    if (typeof o === "string" || typeof o === "number") return String(o).replace(/^\(?[A-J]\)\s*/, "");
    // MMLU's option "None" went through pandas and came out as NaN.
    if (o === null) return "None";
    throw complain(place, `the option ${JSON.stringify(o)} is not a text`, "correct the record");
  });
  return { id, question, answer: optionLetter(answer, options, place), options, answerForm };
}

/**
 * The problems of a task, the first `limit` of those whose record is accepted. Throws NsaError `task_data_missing`,
 * `task_record_invalid` (exit 3).
 */
export function readProblems(
  task: TaskDefinition,
  dataDir: string,
  limit = Number.POSITIVE_INFINITY,
  accept: (record: Record<string, unknown>, place: string) => boolean = () => true,
): TaskProblem[] {
  const paths = task.files.map((f) => (isAbsolute(f) ? f : join(dataDir, f)));
  const missing = paths.filter((p) => !p.includes("*") && !existsSync(p));
  if (missing.length > 0) {
    throw new NsaError({
      code: "task_data_missing",
      what: `task ${task.name}: no file ${missing[0]}`,
      why: "its records are not there",
      fix: task.hub
        ? `run \`nsa eval fetch ${task.name} --data-dir ${dataDir}\`, or set data_dir`
        : "check the path; for a built-in task, set data_dir to the folder of its records",
      exitCode: ExitCode.data,
    });
  }
  const problems: TaskProblem[] = [];
  const names = new Map<string, number>();
  let records = 0;
  for (const path of expandInputs(paths)) {
    for (const { record, place } of readRecords(path)) {
      if (problems.length >= limit) return problems;
      records++;
      if (!accept(record, place)) continue;
      const problem = toProblem(task, record, place, problems.length);
      // Answers are counted by their problem's name: two problems of one name would be measured as one.
      const times = (names.get(problem.id) ?? 0) + 1;
      names.set(problem.id, times);
      problems.push(times === 1 ? problem : { ...problem, id: `${problem.id} (${times})` });
    }
  }
  if (problems.length > 0) return problems;
  if (records > 0)
    throw complain(paths.join(", "), `none of its ${records} records is wanted`, "widen the recipe's filter");
  throw complain(paths.join(", "), "it holds no record", "give the task a file with records");
}

function fill(template: string, values: Record<string, string>): string {
  return template.replace(/\{(question|solution|answer|options)\}/g, (_, key: string) => values[key] ?? "");
}

const listed = (options: readonly string[] = []) =>
  options.map((o, i) => `${"ABCDEFGHIJ"[i]}) ${o}`).join("\n");

/** The prompt of a problem behind the first `shots` solved examples. */
export function taskPrompt(
  task: TaskDefinition,
  problem: Omit<TaskProblem, "id" | "answer">,
  shots: number,
): string {
  const parts = task.shots.slice(0, shots).map((shot) => {
    const options = listed(shot.options);
    return `${fill(task.prompt, { question: shot.question, options })}${fill(task.shot, { ...shot, options })}\n\n`;
  });
  return parts.join("") + fill(task.prompt, { question: problem.question, options: listed(problem.options) });
}
