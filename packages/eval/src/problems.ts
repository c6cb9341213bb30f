// Steps of the tasks that generate answers, and of multiple choice by log-likelihood.
import { ExitCode, NsaError } from "@nsa/core";
import type { GradeOptions, TaskDefinition } from "@nsa/tasks";
import {
  asksInChat,
  familyShots,
  findTask,
  gradeProblem,
  isEchoOf,
  makeFamily,
  PROGRAM_STOP,
  type ProgramFormat,
  programPrompt,
  readProblems,
  renderPrompt,
  requireSandbox,
  type TaskProblem,
  taskPrompt,
  unreadableGold,
} from "@nsa/tasks";
import type { EvalConfig, EvalTask } from "./config.ts";
import { programRows } from "./programs.ts";
import { type Asker, askerOf, type Generation, type Question } from "./question.ts";
import { alsoGreedy, completionOf, requestsOf, unaskedRows } from "./requests.ts";
import type { ChoiceRow, EvalRow, GreedyRow, SampleRow } from "./rows.ts";
import { type Session, scoreTokens, shareQuestions } from "./session.ts";
import { type ForcedSample, generateForced, type ThoughtBudget } from "./trajectories/thoughts.ts";
import { type Trajectory, wholeIds } from "./trajectories/trajectory.ts";

/** A step writes its rows; steps of a config are always the same, so a resumed run skips those that are done. */
export interface EvalStep {
  task: string;
  /** What is to be said of the task's data before the first step runs. */
  warning?: string;
  /** Of steps that generate: how many questions, answers to each and tokens of an answer at most, and the questions with their prompts. */
  asks?: { prompts: number; samples: number; maxTokens: number; questions(asker: Asker): Question[] };
  run(session: Session, step: number): EvalRow[] | Promise<EvalRow[]>;
}

/** The reward model's number of each output; undefined without one, or where an interruption cut outputs short. */
function rewardsOf(
  { rewardModel, config }: Session,
  outputs: readonly (readonly Trajectory[])[],
  prompts: readonly (readonly number[])[],
): number[][] | undefined {
  if (!rewardModel) return undefined;
  const texts = outputs.map((group, q) =>
    group.map((output) => {
      const all = [...prompts[q]!, ...wholeIds(output)];
      return { ids: all, at: [all.length - 1] };
    }),
  );
  const long = texts.flat().find(({ ids }) => ids.length > rewardModel.maxTokens);
  if (long)
    throw new NsaError({
      code: "reward_model_context",
      what: `an answer of ${long.ids.length} tokens with its prompt`,
      why: `the reward model ${config.rewardModel} reads ${rewardModel.maxTokens}`,
      fix: "lower max_tokens, or take a reward model with a longer context",
      exitCode: ExitCode.usage,
    });
  const numbers = rewardModel.score(texts.flat()).map(([number]) => number!);
  let next = 0;
  return texts.map((group) => group.map(() => numbers[next++]!));
}

/** Rows of all questions, shared out over ranks. */
const generateRows = (
  session: Session,
  step: number,
  generation: Generation,
  questions: readonly Question[],
  first: number,
): Promise<SampleRow[]> =>
  shareQuestions(session, questions, first, (own, from) => ownRows(session, step, generation, own, from));

function ownRows(
  session: Session,
  step: number,
  generation: Generation,
  questions: readonly Question[],
  first: number,
): SampleRow[] {
  const { engine, tokenizer } = session;
  const { name, stop, grading, thought } = generation;
  const { prompts, asked, requests } = requestsOf(session, generation, questions, first);
  const outputs: readonly (readonly (Trajectory & Partial<ForcedSample>)[])[] = thought
    ? generateForced(engine, requests, thought, tokenizer)
    : engine.generate(requests);
  const rewards = rewardsOf(
    session,
    outputs,
    asked.map((i) => prompts[i]!),
  );
  return questions.flatMap((question, i): SampleRow[] => {
    const { problem, prompt } = question;
    const group = outputs[asked.indexOf(i)];
    const base = { kind: "sample" as const, step, task: name, id: problem.id, prompt, gold: problem.answer };
    if (!group) return unaskedRows(session, generation, question, { step, tokens: prompts[i]!.length });
    return group.map((output, sample) => {
      const completion = completionOf(tokenizer, wholeIds(output), stop);
      const { verdict, answer, form, why } = gradeProblem(completion, problem, grading);
      const echo = isEchoOf(answer, problem) ? { echo: true as const } : {};
      const logp = output.logp.reduce((a, b) => a + b, 0) / Math.max(1, output.logp.length);
      const { finish } = output;
      return {
        ...base,
        sample,
        completion,
        answer,
        verdict,
        form,
        why,
        tokens: output.sampled ?? output.ids.length,
        finish,
        logp,
        ...(output.budget ? { budget: output.budget } : {}),
        ...(rewards ? { reward: rewards[asked.indexOf(i)]![sample]! } : {}),
        ...echo,
      };
    });
  });
}

/** Sampled answers to the questions, and greedy ones where the recipe asks for them. */
const answerRows = (
  session: Session,
  step: number,
  generation: Generation,
  questions: readonly Question[],
  first: number,
): Promise<(SampleRow | GreedyRow)[]> =>
  alsoGreedy(generation, (one) => generateRows(session, step, one, questions, first));

function inChunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}

/** The longest prompt with up to `shots` examples that leaves room for the answer. `format`: as its examples are solved. */
function fittingPrompt(
  { tokenizer, maxSeqLen }: Asker,
  task: TaskDefinition,
  problem: Omit<TaskProblem, "id" | "answer">,
  { shots, room, format = "cot" }: { shots: number; room: number; format?: "cot" | ProgramFormat },
): string {
  const make = (n: number) =>
    format === "cot" ? taskPrompt(task, problem, n) : programPrompt(task, problem.question, format, n);
  for (let n = Math.min(shots, task.shots.length); n > 0; n--) {
    const prompt = make(n);
    if (tokenizer.encode(prompt).length + room <= maxSeqLen) return prompt;
  }
  return make(0);
}

/** What ends an answer, the ends of the chat template among it where questions are asked in it. */
function inChat(session: Session, generation: Generation, template: string | undefined): Generation {
  if (template === undefined || !asksInChat(template)) return generation;
  return { ...generation, stop: [...new Set([...generation.stop, ...session.chat().stop])] };
}

/** Budget forcing is of texts alone. Throws NsaError `thought_with_programs` (exit 2). */
function thoughtOf(
  { name, thought }: { name: string; thought?: ThoughtBudget | undefined },
  text: boolean,
): { thought?: ThoughtBudget } {
  if (!thought) return {};
  if (text) return { thought };
  throw new NsaError({
    code: "thought_with_programs",
    what: `entry ${name} has a budget for its thoughts`,
    why: "its answers hold programs or calls of tools, whose outputs are not forced",
    fix: "leave out `thought`, or measure the entry with format cot on problems without tests",
    exitCode: ExitCode.usage,
  });
}

/** An entry of the recipe with its name in rows and tables. */
type Named<K extends EvalTask["kind"]> = Extract<EvalTask, { kind: K }> & { name: string };

/** How many gold answers only their own text can meet, with the first of them; undefined when there is none. */
function unreadableGolds(name: string, problems: readonly TaskProblem[]): string | undefined {
  const faults = problems.flatMap((problem) => {
    const why = unreadableGold(problem);
    return why === undefined ? [] : [{ problem, why }];
  });
  if (faults.length === 0) return undefined;
  const { problem, why } = faults[0]!;
  const first = `${problem.id}: ${JSON.stringify(problem.answer.slice(0, 60))}, ${why}`;
  return `${name}: ${faults.length} of ${problems.length} gold answers can be compared by their text alone (the first is ${first}); answer_pattern in a task file takes the answer out of its field`;
}

export function problemSteps(
  spec: Named<"problems">,
  index: number,
  options: { dataDir: string; problems: number; sandbox: EvalConfig["sandbox"] },
): EvalStep[] {
  const task = findTask(spec.task);
  const problems = readProblems(task, options.dataDir, spec.limit);
  const maxTokens = spec.maxTokens ?? task.maxTokens;
  const { format } = spec;
  const tested = problems.some((problem) => problem.tests);
  if (format !== "cot" || tested) requireSandbox(options.sandbox);
  const { template, shots } = spec;
  const { name } = spec;
  const generation: Generation = {
    name,
    index,
    samples: spec.samples,
    greedy: spec.greedy,
    maxTokens,
    stop: format === "cot" || shots === 0 ? task.stop : [...new Set([...task.stop, PROGRAM_STOP])],
    grading: { fallback: task.fallback },
    ...thoughtOf(spec, format === "cot" && !tested),
  };
  const warning = unreadableGolds(name, problems);
  return inChunks(problems, options.problems).map((chunk, c) => ({
    task: name,
    ...(c === 0 && warning !== undefined ? { warning } : {}),
    asks: {
      ...{ prompts: chunk.length, samples: spec.samples, maxTokens },
      questions: (asker) =>
        chunk.map((problem) => ({
          problem,
          prompt:
            template === undefined
              ? fittingPrompt(asker, task, problem, { shots, room: maxTokens, format })
              : renderPrompt(template, problem.question, asker.chat),
        })),
    },
    run(session, step) {
      const questions = this.asks!.questions(askerOf(session));
      const first = c * options.problems;
      const asked = inChat(session, generation, template);
      if (tested) return programRows(session, step, { ...asked, format: "tests" }, questions, first);
      if (format === "cot") return answerRows(session, step, asked, questions, first);
      return programRows(session, step, { ...asked, format }, questions, first);
    },
  }));
}

/** Solved problems in front of each question. Throws NsaError `shots_in_chat` (exit 2). */
function shotsOf({ shots, template, format, name, ...spec }: Named<"family">, seed: number): string {
  if (shots === 0) return "";
  if (asksInChat(template))
    throw new NsaError({
      code: "shots_in_chat",
      what: `entry ${name} has solved problems before its questions`,
      why: "its questions are asked in the chat template, which has one message",
      fix: "leave out `shots`, or ask by a text with {question}",
      exitCode: ExitCode.usage,
    });
  const family = makeFamily(spec.family, { difficulty: spec.difficulty, seed, split: "train" });
  return familyShots(family, template, shots, format === "tool");
}

export function familySteps(
  spec: Named<"family">,
  index: number,
  options: { seed: number; problems: number },
): EvalStep[] {
  const family = makeFamily(spec.family, {
    difficulty: spec.difficulty,
    seed: options.seed,
    split: "heldout",
  });
  const { name } = spec;
  const problems = Array.from({ length: spec.questions }, (_, i) => family.problem(i));
  const { samples, greedy, maxTokens } = spec;
  const grading: GradeOptions = { fallback: "none" };
  const shots = shotsOf(spec, options.seed);
  const text = spec.format === "cot" && !problems.some(({ tests }) => tests);
  const generation: Generation = {
    ...{ name, index, samples, greedy, maxTokens, stop: spec.shots > 0 ? ["\n\n"] : [], grading },
    ...thoughtOf(spec, text),
  };
  return inChunks(problems, options.problems).map((chunk, c) => ({
    task: name,
    asks: {
      ...{ prompts: chunk.length, samples, maxTokens },
      questions: ({ chat }) =>
        chunk.map((problem) => ({
          problem,
          prompt: shots + renderPrompt(spec.template, problem.question, chat),
        })),
    },
    run(session, step) {
      const questions = this.asks!.questions(askerOf(session));
      const asked = inChat(session, generation, spec.template);
      const first = c * options.problems;
      if (problems.some(({ tests }) => tests))
        return programRows(session, step, { ...asked, format: "tests" }, questions, first);
      if (spec.format === "tool")
        return programRows(session, step, { ...asked, format: "tool" }, questions, first);
      return answerRows(session, step, asked, questions, first);
    },
  }));
}

/** Multiple choice by log-likelihood: the rows of some questions. */
function choiceRows(
  session: Session,
  step: number,
  { task, ...spec }: Omit<Named<"choice">, "task"> & { task: TaskDefinition },
  questions: readonly TaskProblem[],
): ChoiceRow[] {
  const { tokenizer } = session;
  const letters = "ABCDEFGHIJ";
  const items = questions.flatMap((problem) => {
    const listed = spec.score === "letter" ? problem : { question: problem.question };
    const head = tokenizer.encode(
      fittingPrompt(askerOf(session), task, { ...problem, ...listed }, { shots: spec.shots, room: 64 }),
    );
    return problem.options!.map((option, o) => {
      const tail = tokenizer.encode(spec.score === "letter" ? ` ${letters[o]}` : ` ${option}`, {
        inner: true,
      });
      return { ids: [...head, ...tail], from: head.length };
    });
  });
  const scores = scoreTokens(session, items).map((logp) => logp.reduce((a, b) => a + b, 0));
  let at = 0;
  return questions.map((problem): ChoiceRow => {
    const logps = scores.slice(at, at + problem.options!.length);
    at += logps.length;
    const perByte = logps.map((x, o) => x / Math.max(1, Buffer.byteLength(problem.options![o]!)));
    const best = (xs: number[]) => letters[xs.indexOf(Math.max(...xs))]!;
    const { id, answer: gold } = problem;
    const place = { kind: "choice" as const, step, task: spec.name, id, gold };
    return { ...place, answer: best(logps), answerPerByte: best(perByte), logps };
  });
}

export function choiceSteps(
  spec: Named<"choice">,
  options: { dataDir: string; problems: number },
): EvalStep[] {
  const task = findTask(spec.task);
  if (task.fields.options === undefined) {
    throw new NsaError({
      code: "task_without_options",
      what: `task ${task.name} as a multiple choice`,
      why: "its records name no field with options",
      fix: "measure it with `kind: problems`, or set `fields.options` in its file",
      exitCode: ExitCode.usage,
    });
  }
  const problems = readProblems(task, options.dataDir, spec.limit);
  return inChunks(problems, options.problems).map((chunk) => ({
    task: spec.name,
    run: (session, step) =>
      shareQuestions(session, chunk, 0, (own) => choiceRows(session, step, { ...spec, task }, own)),
  }));
}
