// Answers with programs: one program, whose output is the answer, or calls of tools whose results are read; the grader reads the end.
import { inParallel } from "@nsa/core";
import {
  type AnswerKind,
  codeBlocks,
  compareAnswers,
  grade,
  gradingOf,
  isEchoOf,
  lastLine,
  runProgram,
  runUnitTests,
  testedProgram,
} from "@nsa/tasks";
import type { Generation, Question } from "./question.ts";
import { alsoGreedy, completionOf, requestsOf, unaskedRows } from "./requests.ts";
import type { GreedyRow, SampleRow } from "./rows.ts";
import type { Session } from "./session.ts";
import { generateTrajectories } from "./trajectories/driver.ts";
import { withToolStops } from "./trajectories/tools.ts";
import { type Trajectory, wholeIds } from "./trajectories/trajectory.ts";

export interface ProgramGeneration extends Generation {
  /** `tests`: the answer is a program that the problem's unit tests judge. */
  format: "pot" | "tool" | "tests";
}

/** An answer, and what its programs say is right: the last line of the last one's output; empty where there is none. */
interface Answered {
  /** Of `tests`: why they failed, empty where they passed. */
  failure?: string;
  completion: string;
  programAnswer: string;
  programs: NonNullable<SampleRow["programs"]>;
}

/** The verdict on an answer: what its program printed, or what its text says in the end. */
function judge(answered: Answered, question: Question, generation: ProgramGeneration) {
  const { problem } = question;
  if (generation.format === "tests") {
    const { failure = "it holds no program" } = answered;
    const verdict = failure === "" ? ("correct" as const) : ("wrong" as const);
    return { verdict, answer: "", form: "program" as AnswerKind, why: failure || "all tests passed" };
  }
  const { completion, programAnswer, programs } = answered;
  const options = { ...generation.grading, ...gradingOf(problem) };
  if (generation.format === "tool") {
    const graded = grade(completion, problem.answer, { ...options, fallback: "none" });
    if (graded.form !== "none" || programAnswer === "") return graded;
  }
  const last = programs.at(-1);
  const none = { verdict: "unknown", answer: "", form: "none" } as const;
  if (!last) return { ...none, why: "it holds no program" };
  if (programAnswer === "") return { ...none, why: `the program gave nothing (${last.status}: ${last.why})` };
  const { verdict, why } = compareAnswers(programAnswer, problem.answer, options);
  return {
    verdict,
    answer: programAnswer,
    form: "program" as AnswerKind,
    why: `output of the program: ${why}`,
  };
}

const OPENED = "```python\n";

/** Judges the program of an answer by the problem's tests. */
async function testProgram(
  { config }: Session,
  text: string,
  { problem, prompt }: Question,
): Promise<Answered> {
  const { backend, unsafeExec, timeoutMs, memoryMb } = config.sandbox;
  // What a prompt has opened, the answer goes on with: the block of Python at the end of MBPP's.
  const opened = prompt.endsWith(OPENED) ? OPENED : "";
  const tested = testedProgram(opened + text, problem);
  const base = { completion: text, programAnswer: "", programs: [] };
  if ("fault" in tested) return { ...base, failure: tested.fault };
  const options = { backend, unsafeExec, limits: { timeoutMs, memoryMb } };
  const { failures, program } = await runUnitTests(tested.code, problem.tests!, options);
  const { status, why } = program;
  const failure = failures.find((f) => f !== "") ?? "";
  return { ...base, failure, programs: [{ status, why }] };
}

/** Runs the last program of a text. */
async function runLast({ config }: Session, completion: string): Promise<Answered> {
  const { backend, unsafeExec, timeoutMs, memoryMb } = config.sandbox;
  const code = codeBlocks(completion).at(-1);
  if (code === undefined) return { completion, programAnswer: "", programs: [] };
  const { status, why, stdout } = await runProgram(code, {
    backend,
    unsafeExec,
    limits: { timeoutMs, memoryMb },
  });
  return { completion, programAnswer: status === "ok" ? lastLine(stdout) : "", programs: [{ status, why }] };
}

function answeredByTools(completion: string, { calls = [] }: Trajectory): Answered {
  const last = calls.at(-1);
  return {
    completion,
    programAnswer: last && !last.failed ? lastLine(last.output) : "",
    programs: calls.map(({ failed, output }) => ({
      status: failed ? "error" : "ok",
      why: failed ? output.slice(0, 200) : "it ended",
    })),
  };
}

async function sampledRows(
  session: Session,
  step: number,
  generation: ProgramGeneration,
  questions: readonly Question[],
  first: number,
): Promise<SampleRow[]> {
  const { engine, tokenizer, config, tools } = session;
  const { samples, stop, format, name } = generation;
  const { prompts, asked, requests: plain } = requestsOf(session, generation, questions, first);
  const requests = plain.map((request, r) => ({ ...request, problem: questions[asked[r]!]!.problem }));
  const groups: readonly (readonly Trajectory[])[] =
    format === "tool"
      ? await generateTrajectories(
          engine,
          requests.map((r) => withToolStops(r, tools!)),
          tools!,
        )
      : engine.generate(requests);
  const flat = asked.flatMap((i, g) => groups[g]!.map((output, sample) => ({ i, output, sample })));
  const answers = await inParallel(flat, config.sandbox.parallel, async ({ i, output }) => {
    const completion = completionOf(tokenizer, wholeIds(output), stop);
    if (format === "tool") return answeredByTools(completion, output);
    return format === "tests"
      ? await testProgram(session, completion, questions[i]!)
      : await runLast(session, completion);
  });
  const rows = flat.map(({ i, output, sample }, n): SampleRow => {
    const { problem, prompt } = questions[i]!;
    const judged = judge(answers[n]!, questions[i]!, generation);
    return {
      ...{ kind: "sample", step, task: name, id: problem.id, sample, prompt },
      ...{ completion: answers[n]!.completion, gold: problem.answer },
      ...judged,
      ...{ tokens: output.ids.length, finish: output.finish },
      logp: output.logp.reduce((a, b) => a + b, 0) / Math.max(1, output.logp.length),
      programs: answers[n]!.programs,
      ...(isEchoOf(judged.answer, problem) ? { echo: true as const } : {}),
    };
  });
  return questions.flatMap((question, i): SampleRow[] => {
    if (asked.includes(i)) return rows.slice(asked.indexOf(i) * samples, (asked.indexOf(i) + 1) * samples);
    const place = { step, tokens: prompts[i]!.length };
    return unaskedRows(session, generation, question, place).map((row) => ({ ...row, programs: [] }));
  });
}

/** Sampled answers with programs, and greedy ones where the recipe asks for them. */
export const programRows = (
  session: Session,
  step: number,
  generation: ProgramGeneration,
  questions: readonly Question[],
  first: number,
): Promise<(SampleRow | GreedyRow)[]> =>
  alsoGreedy(generation, (one) => sampledRows(session, step, one, questions, first));
