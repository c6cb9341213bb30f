// All pairs of a recipe's files: records as they come, sampled outputs paired by question, what cannot be used left out and counted.
import { ExitCode, keptNothing, NsaError, Rng } from "@nsa/core";
import { expandInputs } from "@nsa/data";
import { readRecords } from "@nsa/tasks";
import { clashesOf } from "../../task/clashes.ts";
import type { DpoConfig } from "./config.ts";
import { type Answer, learnedTokens, longestOf, type Pair } from "./pair.ts";
import {
  type PlacedRecord,
  pairOf,
  type RecordReader,
  type SampledOutput,
  sampledOutput,
} from "./records.ts";

const CHOICE_STREAM = 51;

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));

/**
 * At most `most` pairs of right and wrong outputs of one question, in an order drawn from the seed: all of them before one comes
 * twice, and no pair twice. The same output sampled again counts once.
 */
export function choosePairs(
  outputs: readonly SampledOutput[],
  most: number,
  rng: Rng,
  question: number,
): Pair[] {
  const distinct = [...new Map(outputs.map((o) => [`${o.right} ${o.ids.join(",")}`, o])).values()];
  const right = rng.shuffle(
    distinct.filter((o) => o.right),
    2 * question,
  );
  const wrong = rng.shuffle(
    distinct.filter((o) => !o.right),
    2 * question + 1,
  );
  const [r, w] = [right.length, wrong.length];
  if (r === 0 || w === 0) return [];
  // Index i meets (i mod r, i mod w); after their least common multiple, the other index moves on by one.
  const multiple = (r * w) / greatestDivisor(r, w);
  return Array.from({ length: Math.min(most, r * w) }, (_, i): Pair => {
    const chosen = right[i % r]!;
    const rejected = wrong[(i + Math.floor(i / multiple)) % w]!;
    const { question: name, prompt, place } = chosen;
    return { place, question: name, prompt, chosen: answerOf(chosen), rejected: answerOf(rejected) };
  });
}

const answerOf = ({ ids, learned }: SampledOutput): Answer => ({ ids, ...(learned ? { learned } : {}) });

const sameAnswer = (a: Answer, b: Answer) =>
  a.ids.length === b.ids.length && Array.from(a.ids).every((id, i) => id === b.ids[i]);

/** Why a pair cannot be learned from. */
function faultOf(pair: Pair, limits: { length: number; prompt: number }): string | undefined {
  const { prompt, chosen, rejected } = pair;
  if (prompt.length === 0) return "the prompt is empty";
  if (chosen.ids.length === 0) return "chosen is empty";
  if (rejected.ids.length === 0) return "rejected is empty";
  if (sameAnswer(chosen, rejected)) return "chosen equals rejected";
  if (learnedTokens(chosen) === 0 || learnedTokens(rejected) === 0)
    return "an output has no token that the policy writes";
  if (prompt.length > limits.prompt) return `the prompt is longer than ${limits.prompt} tokens`;
  return longestOf(pair) > limits.length ? `it is longer than ${limits.length} positions` : undefined;
}

/** Records of a kind that is left out: how many, and the first. */
class LeftOut {
  private readonly reasons = new Map<string, { count: number; first: string }>();

  add(reason: string, place: string): void {
    const known = this.reasons.get(reason);
    if (known) known.count++;
    else this.reasons.set(reason, { count: 1, first: place });
  }

  get lines(): string[] {
    return [...this.reasons].map(
      ([reason, { count, first }]) =>
        `${count} ${count === 1 ? "pair is" : "pairs are"} left out: ${reason} (first at ${first})`,
    );
  }
}

/** Errors of one record, which is left out where others can be used. */
const ONE_RECORD = ["chat_refused", "chat_template_unstable"];

/** Records that the chat template cannot render. */
class Unrendered {
  first: NsaError | undefined;
  private count = 0;

  /** Runs the body; every error of a record names the record's place. */
  catch({ place }: PlacedRecord, body: () => void): void {
    try {
      body();
    } catch (error) {
      if (!(error instanceof NsaError)) throw error;
      const { code, what, why, fix, exitCode } = error;
      const placed = what.includes(place)
        ? error
        : new NsaError({ code, what: `${place}: ${what}`, why, fix, exitCode, cause: error });
      if (!ONE_RECORD.includes(code)) throw placed;
      this.first ??= placed;
      this.count++;
    }
  }

  get lines(): string[] {
    if (!this.first) return [];
    const { what, why } = this.first;
    return [
      `${this.count} ${this.count === 1 ? "record" : "records"} that cannot be rendered ${this.count === 1 ? "is" : "are"} left out; the first: ${what}: ${why}`,
    ];
  }
}

export interface ReadPairs {
  pairs: Pair[];
  /** Questions with sampled outputs, and those of them that give no pair. */
  sampledQuestions: number;
  withoutPair: number;
}

/**
 * The pairs of the recipe's files in their order, those of sampled outputs behind them. `maxSeqLen`: positions of the policy's
 * context. Throws NsaError `no_pair`, `preference_invalid`, `tokenizer_mismatch`, `data_*` (exit 3).
 */
export function readPairs(
  { data, seed }: Pick<DpoConfig, "data" | "seed">,
  reader: RecordReader & { maxSeqLen: number; warn: (text: string) => void },
): ReadPairs {
  const found: Pair[] = [];
  const sampled = new Map<string, SampledOutput[]>();
  const leftOut = new LeftOut();
  const unrendered = new Unrendered();
  const limits = {
    length: Math.min(data.maxLength, reader.maxSeqLen),
    prompt: data.maxPromptLength ?? Number.POSITIVE_INFINITY,
  };
  const add = (pair: Pair) => {
    const fault = faultOf(pair, limits);
    if (fault === undefined) found.push(pair);
    else leftOut.add(fault, pair.place);
  };
  for (const path of expandInputs(data.files)) {
    for (const at of readRecords(path)) {
      const output = sampledOutput(at, reader);
      if (!output) unrendered.catch(at, () => add(pairOf(at, reader)));
      else if (sampled.has(output.question)) sampled.get(output.question)!.push(output);
      else sampled.set(output.question, [output]);
    }
  }
  const text = ({ prompt }: Pair, { ids }: Answer) => `${Array.from(prompt)}|${Array.from(ids)}`;
  const stated = found.map((p) => ({
    better: text(p, p.chosen),
    worse: text(p, p.rejected),
    place: p.place,
  }));
  for (const line of clashesOf(stated)) reader.warn(line);
  const rng = new Rng(seed, CHOICE_STREAM);
  let withoutPair = 0;
  for (const [number, outputs] of [...sampled.values()].entries()) {
    const pairs = choosePairs(outputs, data.pairsPerQuestion, rng, number);
    if (pairs.length === 0) withoutPair++;
    for (const pair of pairs) add(pair);
  }
  for (const line of [...leftOut.lines, ...unrendered.lines]) reader.warn(line);
  // No record at all could be used: its fault is the recipe's or the file's.
  if (found.length === 0 && unrendered.first) throw unrendered.first;
  if (found.length === 0)
    throw noPair(data.files, [...leftOut.lines, ...withoutLine(sampled.size, withoutPair)]);
  return { pairs: found, sampledQuestions: sampled.size, withoutPair };
}

/** What became of sampled questions, where there are any. */
const withoutLine = (questions: number, without: number): string[] =>
  questions > 0 ? [`of ${questions} sampled questions ${without} have no right or no wrong output`] : [];

function noPair(files: readonly string[], reasons: readonly string[]): NsaError {
  return new NsaError({
    code: "no_pair",
    what: `no pair is left in ${files.join(", ")}`,
    why: reasons.length > 0 ? reasons.join("; ") : "the files are empty",
    fix: "correct the records, raise data.max_length, or sample more outputs of questions that are neither too easy nor too hard",
    ...keptNothing(expandInputs([...files])),
    exitCode: ExitCode.data,
  });
}

const SPLIT_STREAM = 52;

/** Pairs to learn from and held-out ones, by question. Throws NsaError `no_pair` (exit 3) where none is left to learn from. */
export function splitHeldOut(
  pairs: readonly Pair[],
  { data, seed }: Pick<DpoConfig, "data" | "seed">,
): { train: Pair[]; heldOut: Pair[] } {
  const questions = [...new Set(pairs.map(({ question }) => question))];
  const held = data.heldOut > 0 ? Math.max(1, Math.floor(questions.length * data.heldOut)) : 0;
  const order = new Rng(seed, SPLIT_STREAM).permutation(questions.length);
  const out = new Set(Array.from(order.subarray(0, held), (i) => questions[i]!));
  const train = pairs.filter(({ question }) => !out.has(question));
  const heldOut = pairs.filter(({ question }) => out.has(question)).slice(0, data.heldOutPairs);
  if (train.length > 0) return { train, heldOut };
  const count = questions.length === 1 ? "is one question" : `are ${questions.length} questions`;
  throw new NsaError({
    code: "no_pair",
    what: `no pair of ${data.files.join(", ")} is left to learn from`,
    why: `there ${count}, and ${held} held out: data.held_out ${data.heldOut} takes whole questions, and one at least`,
    fix: "set data.held_out to 0, or give pairs of further questions",
    exitCode: ExitCode.data,
  });
}
