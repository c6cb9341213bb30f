// The built-in tasks, as data.
import { ExitCode, NsaError } from "@nsa/core";
import { readTaskFile, type TaskDefinition, type TaskInput, taskSchema } from "./definition.ts";
import { gsmShots, mathShots, zhShots } from "./shots.ts";

/** Word problems ask for one number; what was to be computed is no answer. */
const word = { shots: gsmShots, answerForm: "number" as const };
const choicePrompt = "Question: {question}\n{options}\nAnswer:";
// The template's dollar signs are TeX's.
// MATH and College-Math ask for expressions, sets and intervals as well as numbers: `value`, the default. So do the
// options of AQuA and MMLU, which are answered by their letters or texts.
const MATH_SHOT = [
  " {solution}\nFinal Answer: The final answer is $",
  "{answer}$. I hope it is correct.",
].join("");
const languages = ["bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh"];

const inputs: TaskInput[] = [
  {
    name: "gsm8k",
    about: "grade-school word problems (test, 1,319)",
    files: ["math-problems/gsm8k/test.jsonl.gz"],
    answerAfter: "####",
    hub: { repo: "openai/gsm8k", path: "main/test-00000-of-00001.parquet" },
    ...word,
  },
  {
    name: "math",
    about: "MATH competition problems, gold answer in the solution's box",
    files: ["math-problems/math/test.jsonl.gz"],
    fields: { question: "problem" },
    prompt: "Problem:\n{question}\n\nSolution:",
    shot: MATH_SHOT,
    shots: mathShots,
    stop: ["\nProblem:", "I hope it is correct."],
    maxTokens: 512,
    hub: { repo: "HuggingFaceH4/MATH-500", path: "test.jsonl" },
  },
  {
    name: "college-math",
    about: "college textbook problems",
    files: ["math-problems/college-math/test.jsonl.gz"],
    prompt: "Problem:\n{question}\n\nSolution:",
    shot: MATH_SHOT,
    shots: mathShots,
    stop: ["\nProblem:", "I hope it is correct."],
    maxTokens: 512,
  },
  {
    name: "svamp",
    about: "arithmetic word problems, varied wording",
    files: ["math-problems/svamp/*.jsonl.gz"],
    hub: {
      repo: "ChilleD/SVAMP",
      path: "data/test-00000-of-00001.parquet",
      record: { id: "{ID}", question: "{Body} {Question}", answer: "{Answer}" },
    },
    ...word,
  },
  {
    name: "mawps",
    about: "arithmetic word problems, four sets",
    files: ["math-problems/mawps/*.jsonl.gz"],
    ...word,
  },
  {
    name: "gsm-hard",
    about: "GSM8K with large numbers",
    files: ["math-problems/gsm-hard/test.jsonl.gz"],
    hub: {
      repo: "reasoning-machines/gsm-hard",
      path: "gsmhardv2.jsonl",
      record: { question: "{input}", answer: "{target}" },
    },
    ...word,
  },
  {
    name: "aqua",
    about: "algebra, five options",
    files: ["math-problems/aqua/test.jsonl.gz"],
    hub: {
      repo: "deepmind/aqua_rat",
      path: "raw/test-00000-of-00001.parquet",
      record: { answer: "{correct}" },
    },
    fields: { options: "options" },
    prompt: choicePrompt,
    shot: " {solution}\nThe answer is ({answer}).",
    fallback: "any",
  },
  {
    name: "mmlu-stem",
    about: "science and mathematics, four options",
    files: ["math-problems/mmlu-stem/test.jsonl.gz"],
    fields: { options: "options" },
    prompt: choicePrompt,
    shot: " ({answer})",
    maxTokens: 64,
  },
  {
    name: "cmath",
    about: "Chinese primary-school problems",
    files: ["math-problems/cmath/test.jsonl.gz"],
    hub: { repo: "weitianwen/cmath", path: "cmath_test.jsonl", record: { answer: "{golden}" } },
    prompt: "问题：{question}\n答：",
    shot: "{solution}答案是{answer}。",
    shots: zhShots,
    answerForm: "number",
    stop: ["\n问题："],
    language: "zh",
  },
  ...languages.map(
    (language): TaskInput => ({
      name: `mgsm-${language}`,
      about: `GSM8K in language ${language} (250)`,
      files: [`math-problems/mgsm/${language}.jsonl.gz`],
      hub: {
        repo: "juletxara/mgsm",
        path: `${language}/test-00000-of-00001.parquet`,
        record: { answer: "{answer_number}" },
      },
      language,
      ...(language === "zh"
        ? {
            prompt: "问题：{question}\n答：",
            shot: "{solution}答案是{answer}。",
            shots: zhShots,
            answerForm: "number",
            stop: ["\n问题："],
          }
        : word),
    }),
  ),
];

/** A function's body ends where the file goes on. */
const BODY_STOP = ["\nclass ", "\ndef ", "\n#", "\nif __name__", "\nprint(", "\n```\n"];
inputs.push(
  {
    name: "humaneval",
    about: "functions from their heads, by hidden tests (164)",
    files: ["programs/humaneval.jsonl"],
    layout: "humaneval",
    prompt: "{question}",
    stop: BODY_STOP,
    maxTokens: 512,
    hub: { repo: "openai/openai_humaneval", path: "openai_humaneval/test-00000-of-00001.parquet" },
  },
  {
    name: "mbpp",
    about: "functions from a sentence and asserts (test, 500)",
    files: ["programs/mbpp.jsonl"],
    layout: "mbpp",
    prompt: "{question}\n```python\n",
    stop: ["\n```"],
    maxTokens: 512,
    hub: { repo: "google-research-datasets/mbpp", path: "full/test-00000-of-00001.parquet" },
  },
);

const tasks = new Map(inputs.map((input) => [input.name, taskSchema.parse(input)]));

export const taskNames: readonly string[] = [...tasks.keys()];

/** A built-in task by name, or a task file by its path. Throws NsaError `task_unknown` (exit 2). */
export function findTask(nameOrFile: string): TaskDefinition {
  const task = tasks.get(nameOrFile);
  if (task) return task;
  if (/\.ya?ml$/.test(nameOrFile)) return readTaskFile(nameOrFile);
  throw new NsaError({
    code: "task_unknown",
    what: `no task "${nameOrFile}"`,
    why: `there are ${taskNames.join(", ")}`,
    fix: "name one of them, or a YAML file with a task",
    exitCode: ExitCode.usage,
  });
}
