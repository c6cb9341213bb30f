// Program-of-thought and tool-integrated reasoning on top of any generator: write, run, read the output, go on.
import { inParallel } from "@nsa/core";
import type { ProgramResult } from "../sandbox/limits.ts";
import { codeBlocks, lastLine } from "./code-blocks.ts";

/** One continuation that is wanted. */
export interface TurnRequest {
  /** Number of the transcript, and of the turn in it. */
  index: number;
  turn: number;
  /** What stands before: the prompt and everything so far. */
  text: string;
  maxTokens: number;
  stop: readonly string[];
}

export interface TurnOutput {
  /** New text; the stop string, where one was met, may be in it or not. */
  text: string;
  tokens: number;
  /** Sum of the tokens' log-probabilities. */
  logp: number;
  finish: "stop" | "length";
}

export interface ProtocolOptions {
  /** `pot`: one program, whose output is the answer; `tool`: outputs are fed back, then the model answers. */
  format: "pot" | "tool";
  /** Answers to all requests, in order. */
  generate: (requests: readonly TurnRequest[]) => TurnOutput[] | Promise<TurnOutput[]>;
  run: (code: string) => Promise<ProgramResult>;
  /** Tokens of one transcript, outputs not counted. */
  maxTokens: number;
  /** Programs of one transcript (tool). */
  maxTurns: number;
  stop: readonly string[];
  /** Programs running at once. */
  parallel: number;
}

export interface Transcript {
  /** Everything after the prompt, outputs included. */
  text: string;
  programs: ProgramResult[];
  /** What the programs say is the answer: the last line of the last output; empty where there is none. */
  programAnswer: string;
  tokens: number;
  /** Sum of the log-probabilities of the model's own tokens. */
  logp: number;
  finish: "stop" | "length";
}

const OUTPUT = "```output";
const END = "\n```\n";
const SHOWN_OUTPUT = 1000;

function cut(text: string, stop: readonly string[]): string {
  const at = Math.min(...stop.map((s) => text.indexOf(s)).filter((i) => i >= 0), text.length);
  return text.slice(0, at);
}

/** What the model reads of a run: the output, or the last line of the error. */
function shown(result: ProgramResult, before: string): string {
  if (result.status !== "ok") return result.why.slice(0, SHOWN_OUTPUT);
  const own = result.stdout.startsWith(before) ? result.stdout.slice(before.length) : result.stdout;
  return own.trimEnd().slice(0, SHOWN_OUTPUT);
}

/** Runs the protocol on all prompts together. */
export async function runProtocol(
  prompts: readonly string[],
  options: ProtocolOptions,
): Promise<Transcript[]> {
  const { format, maxTokens, maxTurns, parallel } = options;
  const out = prompts.map(
    (): Transcript => ({ text: "", programs: [], programAnswer: "", tokens: 0, logp: 0, finish: "length" }),
  );
  const stop = format === "tool" ? [OUTPUT, ...options.stop] : options.stop;
  let open = prompts.map((_, i) => i);
  for (let turn = 0; open.length > 0; turn++) {
    const answers = await options.generate(
      open.map((i) => ({
        index: i,
        turn,
        text: prompts[i]! + out[i]!.text,
        maxTokens: maxTokens - out[i]!.tokens,
        stop,
      })),
    );
    const waiting: number[] = [];
    for (const [k, i] of open.entries()) {
      const [answer, t] = [answers[k]!, out[i]!];
      const asksForOutput = format === "tool" && wantsOutput(answer.text, options.stop);
      t.text += cut(answer.text, stop);
      t.tokens += answer.tokens;
      t.logp += answer.logp;
      t.finish = answer.finish;
      const hasCode = codeBlocks(t.text).length > t.programs.length;
      const mayGoOn = t.programs.length < maxTurns && t.tokens < maxTokens;
      if (format === "pot" ? codeBlocks(t.text).length > 0 : asksForOutput && hasCode && mayGoOn)
        waiting.push(i);
    }
    await inParallel(waiting, parallel, async (i) => {
      const t = out[i]!;
      const blocks = codeBlocks(t.text);
      const before = t.programs.at(-1)?.stdout ?? "";
      // Later programs see the names of the earlier ones: all run again, and only new output is shown.
      const result = await options.run(format === "pot" ? blocks.at(-1)! : blocks.join("\n"));
      t.programs.push(result);
      const output = shown(result, before);
      t.programAnswer = result.status === "ok" ? lastLine(output) : "";
      if (format === "tool") t.text = `${t.text.trimEnd()}\n${OUTPUT}\n${output}${END}`;
    });
    open = format === "pot" ? [] : waiting;
  }
  return out;
}

/** Whether the text stops where an output is due, and not at another stop string before. */
function wantsOutput(text: string, others: readonly string[]): boolean {
  const at = text.indexOf(OUTPUT);
  const stopped = Math.min(...others.map((s) => text.indexOf(s)).filter((i) => i >= 0), text.length);
  if (at >= 0) return at < stopped;
  // Engines that leave the stop string out: the text then ends with a closed program.
  return stopped === text.length && /```\s*$/.test(text) && (text.match(/```/g)?.length ?? 0) % 2 === 0;
}
