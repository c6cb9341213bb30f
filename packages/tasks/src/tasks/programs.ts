// Records of programming benchmarks in the layouts that HumanEval and MBPP are published in, and of repositories in small.
//
// HumanEval: {task_id, prompt, entry_point, test}: the prompt is the head of a function that the model goes on writing; `test` defines
// check(candidate). MBPP: {task_id, text, test_list, test_setup_code, test_imports}: a sentence, with the asserts shown in the question.
// Repository: {question, files, setup, tests}: an issue about files that are shown with it; the answer is a patch (protocol/patch.ts).
import { type Repository, repositorySchema } from "../protocol/tested-program.ts";
import type { UnitTest } from "../sandbox/unit-tests.ts";

export interface ProgramRecord {
  question: string;
  tests: UnitTest[];
  /** Code that stands before an answer without a program of its own. */
  starter?: string;
  /** What an answer patches. */
  repository?: Repository;
}

const textOf = (value: unknown) => (typeof value === "string" && value.trim() !== "" ? value : undefined);
const listOf = (value: unknown) =>
  Array.isArray(value) && value.every((x) => typeof x === "string") ? (value as string[]) : undefined;

/** A record of HumanEval's layout; undefined where fields are missing. */
function humanEval(record: Record<string, unknown>): ProgramRecord | undefined {
  const [prompt, entry, test] = [record.prompt, record.entry_point, record.test].map(textOf);
  if (prompt === undefined || entry === undefined || test === undefined) return undefined;
  return { question: prompt, tests: [`${test}\ncheck(${entry})`], starter: prompt };
}

/** A record of MBPP's layout, of its full or its sanitized file; undefined where fields are missing. */
function mbpp(record: Record<string, unknown>): ProgramRecord | undefined {
  const text = textOf(record.text) ?? textOf(record.prompt);
  const list = listOf(record.test_list);
  if (text === undefined || list === undefined || list.length === 0) return undefined;
  const setup = [
    ...(listOf(record.test_imports) ?? []),
    ...[record.test_setup_code].flatMap((x) => textOf(x) ?? []),
  ];
  const hidden = listOf(record.challenge_test_list) ?? [];
  return {
    question: `${text}\nYour code should pass these tests:\n${list.join("\n")}`,
    tests: [...list, ...hidden].map((test) => [...setup, test].join("\n")),
  };
}

const ASK =
  "Answer with a patch: for each change the path of the file, then a line <<<<<<< SEARCH, the lines as they are, a line =======, " +
  "the lines in their place, and a line >>>>>>> REPLACE.";

/** A record of a repository, an issue and hidden tests; undefined where fields are missing. */
function repository(record: Record<string, unknown>): ProgramRecord | undefined {
  const [issue, tests] = [textOf(record.question), listOf(record.tests)];
  const own = repositorySchema.safeParse({ files: record.files, setup: record.setup });
  if (issue === undefined || !own.success || tests === undefined || tests.length === 0) return undefined;
  const shown = Object.entries(own.data.files).map(
    ([path, text]) => `${path}\n\`\`\`\n${text.trimEnd()}\n\`\`\`\n\n`,
  );
  return {
    question: `${shown.join("")}${issue}\n${ASK}`,
    tests,
    repository: own.data,
  };
}

export const programLayouts = { humaneval: humanEval, mbpp, repository } as const;
export type ProgramLayout = keyof typeof programLayouts;
