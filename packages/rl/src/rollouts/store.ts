// Rollouts on disk: `rollouts/step-000123.safetensors` (numbers of every token) beside `step-000123.jsonl` (texts and rewards).
//
// Tensors: ids i32 [T], logp_sampler, logp_old, advantage f32 [T] (logp_ref where there is a reference, value_old and return where there
// is a value model), mask u8 [T] (1 where the token is in the loss), tool u8 [T] where tools were called (1 where a tool wrote the token: it
// has no log-probability, NaN, and no advantage), weight f64 [N], offsets i64 [N + 1]: tokens of output i are offsets[i] … offsets[i + 1] − 1.
// T tokens of N outputs.
// Where log-probabilities are over the ids that truncated sampling kept: kept_ids i32 [K], kept_offsets i64 [T + 1], those of a token together.
// Each file is written under another name and renamed; the tensors come last, so that a step with tensors is whole. A power cut may
// take the newest files; what a checkpoint has passed is never needed to resume.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  ExitCode,
  firstComplaint,
  NsaError,
  SafetensorsReader,
  withoutMark,
  writeSafetensors,
  writeWhole,
} from "@nsa/core";
import { insertedCount, sampledMask, splitIds, wholeIds } from "@nsa/eval";
import { z } from "zod";
import type { RecordedOutput, RecordedStep, RecordedTokens } from "./record.ts";

const FORMAT = "1";
const FILE = /^step-(\d+)\.(safetensors|jsonl)(\.partial)?$/;

export class RolloutStore {
  /** @param keep steps that stay on disk, the newest ones; 0 records none */
  constructor(
    readonly dir: string,
    readonly keep: number = Number.POSITIVE_INFINITY,
  ) {}

  /** Steps on disk, ascending. */
  steps(): number[] {
    return this.files()
      .filter(({ kind, partial }) => kind === "safetensors" && !partial)
      .map(({ step }) => step)
      .sort((a, b) => a - b);
  }

  /** Writes a step and removes the one that is too old. Throws NsaError `disk_full` (exit 3). */
  write(record: RecordedStep): void {
    mkdirSync(this.dir, { recursive: true });
    const { step } = record;
    const [rows, tensors] = [this.path(step, "jsonl"), this.path(step, "safetensors")];
    this.writeRows(`${rows}.partial`, record.outputs);
    renameSync(`${rows}.partial`, rows);
    writeSafetensors(`${tensors}.partial`, tensorsOf(record), metadataOf(record));
    renameSync(`${tensors}.partial`, tensors);
    if (Number.isFinite(this.keep)) this.remove((other) => other <= step - this.keep);
  }

  /** Removes the steps after a checkpoint's, and what was being written. */
  truncate(step: number): void {
    this.remove((other, partial) => other > step || partial);
  }

  /** The rows of a step. Throws NsaError `rollout_missing`, `rollout_corrupt` (exit 3). */
  rows(step: number): RecordedOutput[] {
    const path = this.path(step, "jsonl");
    if (!existsSync(path)) throw this.missing(step);
    try {
      return readFileSync(path, "utf8")
        .split("\n")
        .flatMap((line, i) =>
          line === "" ? [] : [rowOf(`${path}:${i + 1}`, JSON.parse(i === 0 ? withoutMark(line) : line))],
        );
    } catch (cause) {
      if (cause instanceof NsaError) throw cause;
      throw corrupt(path, (cause as Error).message, cause);
    }
  }

  /** A step with all its numbers. Throws NsaError `rollout_missing`, `rollout_corrupt`, `checkpoint_corrupt` (exit 3). */
  read(step: number): RecordedStep {
    const path = this.path(step, "safetensors");
    if (!existsSync(path)) throw this.missing(step);
    const outputs = this.rows(step);
    const reader = SafetensorsReader.open(path);
    try {
      const { metadata } = reader;
      if (metadata.nsa_rollout !== FORMAT)
        throw corrupt(path, `its format is ${metadata.nsa_rollout}, not ${FORMAT}`);
      const offsets = integers(reader, "offsets");
      if (offsets.length !== outputs.length + 1)
        throw corrupt(path, `${offsets.length - 1} outputs, and ${outputs.length} rows beside them`);
      return {
        step,
        outputs,
        tokens: tokensOf(reader, offsets),
        weightSum: Number(metadata.weight_sum),
        weightsBefore: metadata.weights_before!,
        weightsAfter: metadata.weights_after!,
        gradients: JSON.parse(metadata.gradients!) as string[],
      };
    } finally {
      reader.close();
    }
  }

  private missing(step: number): NsaError {
    const steps = this.steps();
    return new NsaError({
      code: "rollout_missing",
      what: `no rollout of step ${step} in ${this.dir}`,
      why:
        steps.length > 0
          ? `steps ${steps[0]} to ${steps.at(-1)} are there`
          : "the run has recorded none (rollout.keep_rollouts)",
      fix: "name a step that is there, or run with rollout.keep_rollouts all",
      exitCode: ExitCode.data,
    });
  }

  private path(step: number, kind: "jsonl" | "safetensors"): string {
    return join(this.dir, `step-${String(step).padStart(6, "0")}.${kind}`);
  }

  private files(): { name: string; step: number; kind: string; partial: boolean }[] {
    if (!existsSync(this.dir)) return [];
    return readdirSync(this.dir).flatMap((name) => {
      const match = FILE.exec(name);
      return match
        ? [{ name, step: Number(match[1]), kind: match[2]!, partial: match[3] !== undefined }]
        : [];
    });
  }

  private remove(which: (step: number, partial: boolean) => boolean): void {
    for (const { name, step, partial } of this.files())
      if (which(step, partial)) rmSync(join(this.dir, name), { force: true });
  }

  private writeRows(path: string, rows: readonly RecordedOutput[]): void {
    writeWhole(path, Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join("")));
  }
}

/** What readers of a row rely on; a file that was changed by hand may lack it. */
const whole = z.number().int().min(0);
const rowSchema = z.looseObject({
  output: whole,
  group: whole,
  id: z.string(),
  question: z.string(),
  answer: z.string(),
  prompt: z.string(),
  prompt_ids: z.array(whole),
  completion: z.string(),
  finish: z.enum(["stop", "length"]),
  reward: z.number().nullable(),
  parts: z.record(z.string(), z.number()),
  outcome: z.number().optional(),
  steps: z.array(z.looseObject({ end: whole, reward: z.number(), of: z.string() })).optional(),
  fault: z.string().optional(),
  discarded: z.literal(true).optional(),
});

/** Throws NsaError `rollout_corrupt` (exit 3) where a row is no recorded output. */
function rowOf(place: string, row: unknown): RecordedOutput {
  const parsed = rowSchema.safeParse(row);
  if (parsed.success) return parsed.data as unknown as RecordedOutput;
  const issue = firstComplaint(parsed.error, row);
  throw corrupt(place, `a row's ${issue.path || "value"}: ${issue.why}`, parsed.error);
}

export function corrupt(path: string, why: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "rollout_corrupt",
    what: path,
    why,
    fix: "the file was damaged: take another step, or run the training again",
    exitCode: ExitCode.data,
    cause,
  });
}

const metadataOf = (r: RecordedStep): Record<string, string> => ({
  nsa_rollout: FORMAT,
  step: String(r.step),
  weight_sum: String(r.weightSum),
  weights_before: r.weightsBefore,
  weights_after: r.weightsAfter,
  gradients: JSON.stringify(r.gradients),
});

/** Tokens of an output as it was read, what tools wrote included. */
const lengthOf = (t: RecordedTokens) => t.ids.length + insertedCount(t);

/** One array of all outputs' tokens; those that a tool wrote have the value `tool`. */
function joined<A extends Float32Array | Uint8Array>(
  out: A,
  tokens: readonly RecordedTokens[],
  of: (t: RecordedTokens) => ArrayLike<number> | number,
  tool: number,
): A {
  let at = 0;
  for (const t of tokens) {
    const values = of(t);
    if (!t.inserts) {
      // Whole rows at once: most runs have no tools.
      if (typeof values === "number") out.fill(values, at, at + t.ids.length);
      else out.set(values, at);
      at += t.ids.length;
      continue;
    }
    let next = 0;
    for (const own of sampledMask(t)) {
      if (!own) out[at++] = tool;
      else out[at++] = typeof values === "number" ? values : values[next++]!;
    }
  }
  return out;
}

function joinedIds(out: Int32Array, tokens: readonly RecordedTokens[]): Int32Array {
  let at = 0;
  for (const t of tokens) {
    out.set(wholeIds(t), at);
    at += lengthOf(t);
  }
  return out;
}

type OptionalColumn = "refLogp" | "oldValue" | "returns";
/** Tensors that not every run has. */
const OPTIONAL: readonly (readonly [string, OptionalColumn])[] = [
  ["logp_ref", "refLogp"],
  ["value_old", "oldValue"],
  ["return", "returns"],
];

type Tensors = Parameters<typeof writeSafetensors>[1];

function tensorsOf({ tokens }: RecordedStep): Tensors {
  const T = tokens.reduce((n, t) => n + lengthOf(t), 0);
  const [N, shape] = [tokens.length, [T]];
  const floats = (name: string, of: (t: RecordedTokens) => ArrayLike<number> | number, tool = Number.NaN) =>
    ({ name, dtype: "F32", shape, data: () => joined(new Float32Array(T), tokens, of, tool) }) as const;
  const bytes = (name: string, of: (t: RecordedTokens) => number, tool: number) =>
    ({ name, dtype: "U8", shape, data: () => joined(new Uint8Array(T), tokens, of, tool) }) as const;
  const offsets = new BigInt64Array(N + 1);
  for (const [i, t] of tokens.entries()) offsets[i + 1] = offsets[i]! + BigInt(lengthOf(t));
  const optional = (name: string, key: OptionalColumn) =>
    tokens.some((t) => t[key]) ? [floats(name, (t) => t[key] ?? Number.NaN)] : [];
  return [
    { name: "ids", dtype: "I32", shape, data: () => joinedIds(new Int32Array(T), tokens) },
    floats("logp_sampler", (t) => t.samplerLogp),
    floats("logp_old", (t) => t.oldLogp),
    floats("advantage", (t) => t.advantage, 0),
    ...OPTIONAL.flatMap(([name, key]) => optional(name, key)),
    ...keptTensors(tokens),
    bytes("mask", (t) => (t.weight > 0 ? 1 : 0), 0),
    ...(tokens.some((t) => t.inserts) ? [bytes("tool", () => 0, 1)] : []),
    {
      name: "weight",
      dtype: "F64",
      shape: [N],
      data: () => Float64Array.from(tokens, ({ weight }) => weight),
    },
    { name: "offsets", dtype: "I64", shape: [N + 1], data: () => offsets },
  ];
}

function keptTensors(tokens: readonly RecordedTokens[]): Tensors {
  if (!tokens.some(({ kept }) => kept)) return [];
  const sets = tokens.flatMap(({ kept, ids }) => kept ?? Array.from(ids, () => [] as number[]));
  const offsets = new BigInt64Array(sets.length + 1);
  for (const [i, set] of sets.entries()) offsets[i + 1] = offsets[i]! + BigInt(set.length);
  const all = Int32Array.from(sets.flatMap((set) => [...set]));
  return [
    { name: "kept_ids", dtype: "I32", shape: [all.length], data: () => all },
    { name: "kept_offsets", dtype: "I64", shape: [offsets.length], data: () => offsets },
  ];
}

/** Kept ids of all tokens; undefined where none were recorded. */
function keptOf(reader: SafetensorsReader): number[][] | undefined {
  if (!reader.entries.has("kept_ids")) return undefined;
  const ids = Array.from(new Int32Array(bytesOf(reader, "kept_ids")));
  const offsets = integers(reader, "kept_offsets");
  return offsets.slice(1).map((to, i) => ids.slice(offsets[i], to));
}

function bytesOf(reader: SafetensorsReader, name: string): ArrayBuffer {
  return new Uint8Array(reader.bytes(name)).buffer;
}

const integers = (reader: SafetensorsReader, name: string): number[] =>
  Array.from(new BigInt64Array(bytesOf(reader, name)), Number);

function tokensOf(reader: SafetensorsReader, offsets: readonly number[]): RecordedTokens[] {
  const floats = (name: string) => new Float32Array(bytesOf(reader, name));
  const ids = new Int32Array(bytesOf(reader, "ids"));
  const [sampler, old, advantage] = ["logp_sampler", "logp_old", "advantage"].map(floats) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const there = OPTIONAL.filter(([name]) => reader.entries.has(name));
  const optional = there.map(([name, key]) => [key, floats(name)] as const);
  const kept = keptOf(reader);
  const weight = new Float64Array(bytesOf(reader, "weight"));
  const tool = reader.entries.has("tool") ? new Uint8Array(bytesOf(reader, "tool")) : undefined;
  return Array.from(weight, (w, i): RecordedTokens => {
    const [from, to] = [offsets[i]!, offsets[i + 1]!];
    const wrote = tool?.subarray(from, to);
    const of = (values: Float32Array) => {
      const own = values.subarray(from, to);
      return wrote ? own.filter((_, t) => !wrote[t]) : own;
    };
    return {
      ...(wrote
        ? splitIds(
            ids.subarray(from, to),
            wrote.map((t) => 1 - t),
          )
        : { ids: ids.subarray(from, to) }),
      samplerLogp: of(sampler),
      oldLogp: of(old),
      ...Object.fromEntries(optional.map(([key, values]) => [key, of(values)])),
      ...(kept ? { kept: kept.slice(from, to) } : {}),
      advantage: of(advantage),
      weight: w,
    };
  });
}
