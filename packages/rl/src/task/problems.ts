// Where questions come from: problem families or records, by number, so that a resumed run asks the same ones.
import { ExitCode, NsaError, Rng } from "@nsa/core";
import {
  type ChatTemplate,
  findTask,
  makeFamily,
  type Problem,
  readProblems,
  renderPrompt,
  type TaskDefinition,
  type TaskProblem,
  taskPrompt,
  taskSchema,
  unreadableGold,
} from "@nsa/tasks";
import { partName, type QuestionPlan, type RlTask } from "./config.ts";
import { HELD_OUT_SHARE } from "./size.ts";

/** A problem with its prompt and the part of a mixed task that it comes from. */
export type AskedProblem = Problem & { part?: string; text: string; prompt: readonly number[] };

export interface ProblemSource {
  /** Training problem number i; a source with a plan by steps picks it by the step that asks. */
  train(i: number, step?: number): AskedProblem;
  heldOut(i: number): AskedProblem;
  /** Training problems there are; numbers beyond it ask them again. */
  trainCount: number;
  /** Held-out problems there are. */
  heldOutCount: number;
}

/** What decides which questions a run has. */
export interface TaskConfig {
  task: RlTask;
  seed: number;
}

/** Which questions each step asks, where that changes over a run of so many steps. */
export interface QuestionSchedule {
  steps: number;
  at: (step: number) => QuestionPlan;
}

/** What decides whether a problem can be asked. */
export interface Asking {
  encode: (text: string) => readonly number[];
  /** The checkpoint's chat template, for `template: chat`. */
  chat?: () => ChatTemplate;
  /** Tokens of the model's context. */
  maxSeqLen: number;
  log: (text: string, level: "warn") => void;
}

const SHUFFLE_STREAM = 41;
/** Held-out problems of a mix that are looked at for each one wanted. */
const LOOKED_THROUGH = 16;

function noneLeft(
  what: string,
  why: string,
  fix = "correct the records, shorten task.template, or take a model with a longer context",
): NsaError {
  return new NsaError({
    code: "no_usable_problem",
    what,
    why,
    fix,
    exitCode: ExitCode.data,
  });
}

/** Puts the question into the recipe's template and makes it ids. */
function asker(config: TaskConfig, asking: Asking, task?: TaskDefinition) {
  const { template, answerForm } = config.task;
  return (problem: Problem | TaskProblem, part?: string): AskedProblem => {
    const own = task && template === "task";
    const text = own ? taskPrompt(task, problem, 0) : renderPrompt(template, problem.question, asking.chat);
    return {
      ...problem,
      ...(answerForm && !problem.countdown ? { answerForm } : {}),
      text,
      prompt: asking.encode(text),
      ...(part === undefined ? {} : { part }),
    };
  };
}

/** Why a problem cannot be asked or judged. */
function fault(problem: AskedProblem, { maxSeqLen }: Asking): string | undefined {
  const { length } = problem.prompt;
  if (length + 1 > maxSeqLen) return `a prompt of ${length} tokens, the context is ${maxSeqLen}`;
  const gold = unreadableGold(problem);
  return gold === undefined ? undefined : `the gold answer ${JSON.stringify(problem.answer)}: ${gold}`;
}

/** Leaves out the problems that cannot be asked or judged, with a warning that counts them and names the first. */
function usable(problems: readonly AskedProblem[], asking: Asking, from: string): AskedProblem[] {
  const faults = problems.map((p) => fault(p, asking));
  const first = faults.findIndex((f) => f !== undefined);
  if (first < 0) return [...problems];
  const kept = problems.filter((_, i) => faults[i] === undefined);
  const why = `the first is ${problems[first]!.id}: ${faults[first]}`;
  if (kept.length < 2)
    throw noneLeft(`${kept.length} of ${problems.length} problems of ${from} can be used`, why);
  asking.log(
    `${problems.length - kept.length} of ${problems.length} problems of ${from} are left out; ${why}`,
    "warn",
  );
  return kept;
}

/**
 * Whether a record of a pool lies in the wanted range; the rates of those that do are put into `rates`, in their order.
 * Throws NsaError `task_record_invalid` (exit 3) where it has no pass rate.
 */
function inPassRate(range: RlTask["passRate"], file: string, rates: number[]) {
  if (!range) return undefined;
  return ({ pass_rate: rate }: Record<string, unknown>, place: string): boolean => {
    if (typeof rate === "number" && rate >= 0 && rate <= 1) {
      const within = rate >= range.min && rate <= range.max;
      if (within) rates.push(rate);
      return within;
    }
    throw new NsaError({
      code: "task_record_invalid",
      what: place,
      why: `problems are chosen by pass rate, but the record's \`pass_rate\` is ${JSON.stringify(rate)}`,
      fix: `measure pass rates with \`nsa sample\` and name its pool.jsonl in place of ${file}`,
      exitCode: ExitCode.data,
    });
  };
}

/** Picks among problems by the pass rates that a step asks for. Throws `no_usable_problem` (exit 3) where a step would have none. */
function byPassRate(
  problems: readonly AskedProblem[],
  rateOf: (p: AskedProblem) => number,
  schedule: QuestionSchedule,
) {
  const chosen = new Map<string, AskedProblem[]>();
  const of = (step: number): AskedProblem[] => {
    const { min, max } = schedule.at(step).passRate!;
    const key = `${min} ${max}`;
    let found = chosen.get(key);
    if (!found) {
      found = problems.filter((p) => rateOf(p) >= min && rateOf(p) <= max);
      if (found.length === 0)
        throw noneLeft(
          `no problem has a pass rate from ${min} to ${max}`,
          `step ${step} of the curriculum asks for it`,
          "widen pass_rate of that entry of the curriculum, or measure further problems with `nsa sample`",
        );
      // A range that moves with each step is not asked for again.
      if (chosen.size > 8) chosen.clear();
      chosen.set(key, found);
    }
    return found;
  };
  // Before the first step, so that a run does not end in its middle.
  for (let step = 1; step <= schedule.steps; step++) of(step);
  return (i: number, step: number) => {
    const found = of(step);
    return found[i % found.length]!;
  };
}

function fromRecords(config: TaskConfig, asking: Asking, schedule?: QuestionSchedule): ProblemSource {
  const { file, task: name, files, dataDir, limit, passRate } = config.task;
  const task =
    file !== ""
      ? taskSchema.parse({ name: "file", files: [file], fields: { tests: "tests" } })
      : findTask(name);
  const ask = asker(config, asking, task);
  const scheduled = schedule?.at(1).passRate !== undefined;
  const rates: number[] = [];
  const range = scheduled ? (passRate ?? { min: 0, max: 1 }) : passRate;
  const accept = file === "" ? undefined : inPassRate(range, file, rates);
  const rateOf = new Map<AskedProblem, number>();
  const read = (of: TaskDefinition) => {
    const problems = readProblems(of, file !== "" ? "." : dataDir, limit, accept).map((p) => ask(p));
    for (const [i, problem] of problems.entries()) rateOf.set(problem, rates[i]!);
    return usable(problems, asking, of.files.join(", "));
  };
  const own = read(task);
  const train = files.length > 0 ? read({ ...task, files }) : undefined;
  const order = new Rng(config.seed, SHUFFLE_STREAM).permutation((train ?? own).length);
  // Without training records of their own, a tenth of the records is held out.
  if (!train && own.length < 2)
    throw noneLeft(
      `${own.length} problem in ${task.files.join(", ")}`,
      "one to learn from and one held out are needed",
    );
  const held = train ? 0 : Math.max(1, Math.floor(own.length * HELD_OUT_SHARE));
  const rest = order.length - held;
  const all = Array.from({ length: rest }, (_, i) => (train ?? own)[order[held + i]!]!);
  const pick = scheduled ? byPassRate(all, (p) => rateOf.get(p)!, schedule!) : undefined;
  return {
    trainCount: rest,
    heldOutCount: train ? own.length : held,
    heldOut: (i) => (train ? own[i % own.length]! : own[order[i % held]!]!),
    train: (i, step = 1) => pick?.(i, step) ?? all[i % rest]!,
  };
}

/** A family alone is a mix of one part. */
function parts(task: RlTask): { family: string; difficulty: number; share: number }[] {
  return task.mix.length > 0 ? task.mix : [{ ...task, share: 1 }];
}

/**
 * Part of problem number i: shares are kept exactly over any long run of numbers, since each number goes to the part
 * that is furthest behind its share.
 */
function* turns(shares: readonly number[]): Generator<{ part: number; index: number }> {
  const total = shares.reduce((a, b) => a + b, 0);
  const given = shares.map(() => 0);
  for (let i = 1; ; i++) {
    let part = 0;
    const lag = (p: number) => (i * shares[p]!) / total - given[p]!;
    for (let p = 1; p < shares.length; p++) if (lag(p) > lag(part) + 1e-12) part = p;
    yield { part, index: given[part]!++ };
  }
}

/**
 * Part of problem number i by the shares of the step that asks it, without a memory of earlier ones: the golden ratio's multiples fill
 * [0, 1) so evenly that any stretch of numbers has each share to within about one question.
 */
function partByShares(i: number, shares: readonly number[]): number {
  let left = ((i + 0.5) * (Math.sqrt(5) - 1)) / 2;
  left -= Math.floor(left);
  const last = shares.findLastIndex((share) => share > 0);
  for (let part = 0; part < last; part++) {
    if (left < shares[part]!) return part;
    left -= shares[part]!;
  }
  return last;
}

/** Throws NsaError `family_unknown` (exit 2) where a recipe's questions are of a family that there is not. */
export function checkFamilies({ task, seed }: TaskConfig): void {
  if (task.file !== "" || task.task !== "") return;
  for (const part of parts(task)) makeFamily(part.family, { ...part, seed, split: "train" });
}

function fromFamilies(config: TaskConfig, asking: Asking, schedule?: QuestionSchedule): ProblemSource {
  const mix = parts(config.task);
  const ask = asker(config, asking);
  const known: { part: number; index: number }[] = [];
  const order = turns(mix.map((p) => p.share));
  const of = (split: "train" | "heldout", splitSeed: number) => {
    const families = mix.map((p) => makeFamily(p.family, { ...p, seed: splitSeed, split }));
    return (i: number, step?: number): AskedProblem => {
      const shares = step === undefined ? undefined : schedule?.at(step).mix;
      if (!shares) while (known.length <= i) known.push(order.next().value);
      const { part, index } = shares ? { part: partByShares(i, shares), index: i } : known[i]!;
      const problem = ask(families[part]!.problem(index), partName(mix[part]!));
      const why = fault(problem, asking);
      if (why !== undefined) throw noneLeft(`problem ${problem.id}`, why);
      return problem;
    };
  };
  return {
    trainCount: Number.POSITIVE_INFINITY,
    heldOutCount: Number.POSITIVE_INFINITY,
    train: of("train", config.seed),
    // Held-out questions do not depend on the seed: runs are compared on the same ones.
    heldOut: of("heldout", 0),
  };
}

/** The recipe's questions. Throws NsaError of tasks and families, and `no_usable_problem` (exit 3). */
export function makeProblems(config: TaskConfig, asking: Asking, schedule?: QuestionSchedule): ProblemSource {
  const { file, task } = config.task;
  const make = file !== "" || task !== "" ? fromRecords : fromFamilies;
  return make(config, asking, schedule);
}

/**
 * The first `count` held-out problems that a rule decides, so that shares of right answers mean something in a mix with families that a
 * judge decides. Where no rule decides any, the first ones as they are.
 */
export function heldOutProblems(problems: ProblemSource, count: number): AskedProblem[] {
  const wanted = Math.min(count, problems.heldOutCount);
  const found: AskedProblem[] = [];
  for (let i = 0; found.length < wanted && i < LOOKED_THROUGH * wanted; i++) {
    if (i >= problems.heldOutCount) break;
    const problem = problems.heldOut(i);
    if (problem.judge === undefined) found.push(problem);
  }
  return found.length > 0 ? found : Array.from({ length: wanted }, (_, i) => problems.heldOut(i));
}
