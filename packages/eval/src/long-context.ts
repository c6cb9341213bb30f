// Steps of the long-context tasks: a needle in a haystack (depth × length), and perplexity by position.
import { NsaError, Rng } from "@nsa/core";
import { expandInputs, type Tokenizer } from "@nsa/data";
import { fillTemplate, readRecords } from "@nsa/tasks";
import type { EvalTask } from "./config.ts";
import type { EvalStep } from "./problems.ts";
import type { NeedleRow, PositionRow } from "./rows.ts";
import { type Session, scoreTokens, shareQuestions } from "./session.ts";

const STREAM = 41;
const filler =
  "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. A river runs past the town, and boats carry wood and grain. Children walk to school in the morning and come home at noon. In winter the hills are white. ";
const cities = ["Paris", "Oslo", "Lima", "Cairo", "Delhi", "Kyoto", "Quito", "Riga", "Sofia", "Tunis"];

/** Texts joined until they give `tokens` ids; the built-in sentences over and over when there are none. */
function haystack(tokenizer: Tokenizer, files: readonly string[], tokens: number): number[] {
  const ids: number[] = [];
  for (const path of expandInputs([...files])) {
    for (const { record, place } of readRecords(path)) {
      for (const id of tokenizer.encode(`${fillTemplate("{text}", record, place)}\n`, {
        plain: true,
        inner: true,
      }))
        ids.push(id);
      if (ids.length >= tokens) return ids.slice(0, tokens);
    }
  }
  const sentence = ids.length > 0 ? [...ids] : tokenizer.encode(filler, { inner: true });
  while (ids.length < tokens) for (const id of sentence) ids.push(id);
  return ids.slice(0, tokens);
}

/** The nearest place at or before `at` where a sentence or line ends. */
function boundary(tokenizer: Tokenizer, ids: readonly number[], at: number): number {
  for (let i = at; i > Math.max(0, at - 64); i--) {
    const text = tokenizer.decode([ids[i - 1]!]);
    if (/[.\n]\s*$/.test(text)) return i;
  }
  return at;
}

function needleRow(
  session: Session,
  spec: Extract<EvalTask, { kind: "needle" }>,
  place: { length: number; depth: number; trial: number; step: number },
): NeedleRow {
  const { tokenizer, engine, config } = session;
  const { length, depth, trial, step } = place;
  const rng = new Rng(config.seed, STREAM);
  const cell = length * 1009 + Math.round(depth * 1000);
  const city = cities[Math.floor(rng.uniform(cell, trial, 0) * cities.length)]!;
  const gold = String(10_000 + Math.floor(rng.uniform(cell, trial, 1) * 90_000));
  const needle = tokenizer.encode(` The magic number of ${city} is ${gold}. `, { inner: true });
  const question = tokenizer.encode(`\nWhat is the magic number of ${city}? The magic number of ${city} is`, {
    inner: true,
  });
  const answer = tokenizer.encode(` ${gold}`, { inner: true });
  const { before } = tokenizer.frame;
  const room = length - before.length - needle.length - question.length - answer.length;
  if (room < 1) throw tooShort(length);
  const hay = haystack(tokenizer, spec.files, room + needle.length);
  const at = boundary(tokenizer, hay, Math.round(depth * room));
  const withFact = [...before, ...hay.slice(0, at), ...needle, ...hay.slice(at, room), ...question];
  const without = [...before, ...hay, ...question];
  const mean = (xs: Float64Array) => xs.reduce((a, b) => a + b, 0) / xs.length;
  const scores = [withFact, without].map((prompt) =>
    mean(scoreTokens(session, [{ ids: [...prompt, ...answer], from: prompt.length }])[0]!),
  );
  const sampling = { temperature: 0, topP: 1, minP: 0, topK: 0 };
  const request = { prompt: withFact, n: 1, maxTokens: answer.length, sampling, seed: config.seed, id: 0 };
  const output = engine.generate([{ ...request, stopIds: tokenizer.eosIds }])[0]![0]!;
  const completion = tokenizer.decode(output.ids);
  const found = completion.trim().startsWith(gold);
  const base = { kind: "needle" as const, step, task: spec.name, length, depth, trial };
  return { ...base, found, completion, gold, logp: scores[0]!, logpWithout: scores[1]! };
}

function tooShort(length: number): NsaError {
  return new NsaError({
    code: "needle_too_short",
    what: `a needle prompt of ${length} tokens`,
    why: "fact and question alone are longer with this tokenizer",
    fix: "use longer `lengths`",
    exitCode: 2,
  });
}

function fits(session: Session, length: number, name: string): void {
  const { maxSeqLen } = session.model.config;
  if (length <= maxSeqLen) return;
  throw new NsaError({
    code: "context_too_short",
    what: `task ${name} needs ${length} tokens, the model's context is ${maxSeqLen}`,
    why: "positions beyond the context have no rotary table",
    fix: "set max_seq_len, or use shorter lengths",
    exitCode: 2,
  });
}

export function needleSteps(spec: Extract<EvalTask, { kind: "needle" }>): EvalStep[] {
  return spec.lengths.flatMap((length) =>
    spec.depths.map((depth) => ({
      task: spec.name,
      run(session: Session, step: number) {
        fits(session, length, spec.name);
        const trials = Array.from({ length: spec.trials }, (_, trial) => trial);
        return shareQuestions(session, trials, 0, (own) =>
          own.map((trial) => needleRow(session, spec, { length, depth, trial, step })),
        );
      },
    })),
  );
}

/** The n-th run of `length` + 1 ids of all documents joined by the end-of-text id. */
function sequenceAt(
  tokenizer: Tokenizer,
  spec: Extract<EvalTask, { kind: "positions" }>,
  n: number,
): Int32Array {
  const wanted = (n + 1) * (spec.length + 1);
  const ids: number[] = [];
  for (const path of expandInputs(spec.files)) {
    for (const { record, place } of readRecords(path)) {
      for (const id of tokenizer.encodeDocument(fillTemplate(spec.text, record, place))) ids.push(id);
      ids.push(tokenizer.eosId);
      if (ids.length >= wanted) return Int32Array.from(ids.slice(wanted - spec.length - 1, wanted));
    }
  }
  throw new NsaError({
    code: "corpus_empty",
    what: `task ${spec.name}: ${ids.length} tokens in ${spec.files.join(", ")}`,
    why: `${n + 1} sequences of ${spec.length} need ${wanted}`,
    fix: "name more text, or lower `sequences` or `length`",
    exitCode: 3,
  });
}

export function positionSteps(spec: Extract<EvalTask, { kind: "positions" }>): EvalStep[] {
  return Array.from({ length: spec.sequences }, (_, sequence) => ({
    task: spec.name,
    run(session: Session, step: number): PositionRow[] {
      fits(session, spec.length, spec.name);
      const ids = sequenceAt(session.tokenizer, spec, sequence);
      const logp = scoreTokens(session, [{ ids, from: 1 }])[0]!;
      const nll = new Array<number>(spec.buckets).fill(0);
      const tokens = new Array<number>(spec.buckets).fill(0);
      for (const [t, value] of logp.entries()) {
        const bucket = Math.floor((t * spec.buckets) / logp.length);
        nll[bucket]! -= value;
        tokens[bucket]!++;
      }
      return [{ kind: "positions", step, task: spec.name, sequence, nll, tokens }];
    },
  }));
}
