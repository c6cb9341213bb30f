// Answers with programs: the protocol runs on the engine, outputs come from the sandbox, the grader reads the end.
import type { AnswerKind } from "@nsa/tasks";
import {
  compareAnswers,
  grade,
  gradingOf,
  isEchoOf,
  runProgram,
  runProtocol,
  type Transcript,
  type TurnOutput,
  type TurnRequest,
} from "@nsa/tasks";
import type { Generation, Question } from "./question.ts";
import type { GreedyRow, SampleRow } from "./rows.ts";
import type { Session } from "./session.ts";

/** Prompts of the two formats, as `configs/sft/formats.yaml` teaches them. */
export const programTemplates = {
  pot: "Question: {question}\nSolve it by a Python program that prints the answer.\nAnswer:\n",
  tool: "Question: {question}\nSolve it step by step with Python.\nAnswer:\n",
};

interface ProgramGeneration extends Generation {
  format: "pot" | "tool";
  maxTurns: number;
}

const TURN_SEEDS = 7919;

function generateTurn(
  session: Session,
  generation: Generation,
  first: number,
  requests: readonly TurnRequest[],
): TurnOutput[] {
  const { engine, tokenizer, model, config } = session;
  const prompts = requests.map((r) => tokenizer.encode(r.text));
  const fits = prompts.map((p) => p.length + 1 <= model.config.maxSeqLen);
  const asked = requests.flatMap((_, i) => (fits[i] ? [i] : []));
  const outputs = engine.generate(
    asked.map((i) => ({
      prompt: prompts[i]!,
      n: 1,
      maxTokens: requests[i]!.maxTokens,
      sampling: generation.greedy ? { ...config.sampling, temperature: 0 } : config.sampling,
      // Every turn draws with a key of its own: positions start at 0 again.
      seed: config.seed + generation.index + TURN_SEEDS * requests[i]!.turn,
      id: first + requests[i]!.index,
      stopIds: tokenizer.eosIds,
      stopStrings: requests[i]!.stop,
    })),
  );
  return requests.map((_, i) => {
    const output = outputs[asked.indexOf(i)]?.[0];
    // A transcript that has filled the context ends where it is.
    if (!output) return { text: "", tokens: 0, logp: 0, finish: "length" };
    const text = tokenizer.decode(output.ids.filter((id) => !tokenizer.isEnd(id)));
    const logp = output.logp.reduce((a, b) => a + b, 0);
    return { text, tokens: output.ids.length, logp, finish: output.finish };
  });
}

/** The verdict on a transcript: what its program printed, or what its text says in the end. */
function judge(transcript: Transcript, question: Question, generation: ProgramGeneration) {
  const { problem } = question;
  const options = { ...generation.grading, ...gradingOf(problem) };
  if (generation.format === "tool") {
    const graded = grade(transcript.text, problem.answer, { ...options, fallback: "none" });
    if (graded.form !== "none" || transcript.programAnswer === "") return graded;
  }
  const answer = transcript.programAnswer;
  const last = transcript.programs.at(-1);
  const none = { verdict: "unknown", answer: "", form: "none" } as const;
  if (!last) return { ...none, why: "it holds no program" };
  if (answer === "") return { ...none, why: `the program gave nothing (${last.status}: ${last.why})` };
  const { verdict, why } = compareAnswers(answer, problem.answer, options);
  return { verdict, answer, form: "program" as AnswerKind, why: `output of the program: ${why}` };
}

async function sampledRows(
  session: Session,
  step: number,
  generation: ProgramGeneration,
  questions: readonly Question[],
  first: number,
): Promise<SampleRow[]> {
  const { samples } = generation;
  const { backend, unsafeExec, timeoutMs, memoryMb, parallel } = session.config.sandbox;
  const asked = questions.flatMap((q) => Array.from({ length: samples }, () => q));
  const transcripts = await runProtocol(
    asked.map((q) => q.prompt),
    {
      format: generation.format,
      generate: (requests) => generateTurn(session, generation, first * samples, requests),
      run: (code) => runProgram(code, { backend, unsafeExec, limits: { timeoutMs, memoryMb } }),
      maxTokens: generation.maxTokens,
      maxTurns: generation.maxTurns,
      stop: generation.stop,
      parallel,
    },
  );
  return transcripts.map((transcript, i): SampleRow => {
    const question = asked[i]!;
    const { text, tokens, logp, finish, programs } = transcript;
    const judged = judge(transcript, question, generation);
    const echo = isEchoOf(judged.answer, question.problem) ? { echo: true as const } : {};
    return {
      kind: "sample",
      step,
      task: generation.name,
      id: question.problem.id,
      sample: i % samples,
      prompt: question.prompt,
      completion: text,
      gold: question.problem.answer,
      ...judged,
      tokens,
      finish,
      logp: logp / Math.max(1, tokens),
      programs: programs.map(({ status, why }) => ({ status, why })),
      ...echo,
    };
  });
}

/** Sampled answers with programs, and greedy ones where the recipe asks for them. */
export async function programRows(
  session: Session,
  step: number,
  generation: ProgramGeneration,
  questions: readonly Question[],
  first: number,
): Promise<(SampleRow | GreedyRow)[]> {
  const sampled = await sampledRows(session, step, { ...generation, greedy: false }, questions, first);
  if (!generation.greedy) return sampled;
  const once = await sampledRows(session, step, { ...generation, samples: 1 }, questions, first);
  return [...sampled, ...once.map((row): GreedyRow => ({ ...row, kind: "greedy" }))];
}
