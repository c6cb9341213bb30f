// state.json of a checkpoint: what is saved besides tensors, and the hashes that vouch for every file, itself included.
//
// Format 2 is sealed: it is read only if its bytes are exactly those that were written. Format 1 has one hash for a whole file and
// no seal; it is still read.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  ExitCode,
  firstComplaint,
  sealSchema as hex,
  isIntact,
  NsaError,
  type PluginRecord,
  registeredNames,
  sealJson,
} from "@nsa/core";
import { z } from "zod";
import { resolveModelConfig } from "../config/model-config.ts";
import type { ModelConfig } from "../config/schema.ts";

export const STATE_FILE = "state.json";
/** The optimizer's moments. */
export const MOMENTS = "optimizer.safetensors";
/** All weights, or, where the checkpoint lies on a base, the adapters and what else was trained. */
export const WEIGHTS = "model.safetensors";
export const ADAPTER = "adapter.safetensors";

/** The checkpoint under one of adapters. */
export interface BaseRecord {
  /** Absolute path of the folder. */
  path: string;
  /** Fingerprint of its weights, see base.ts. */
  sha256: string;
}

export interface CheckpointState {
  /** 1: written before state.json was sealed. */
  format: 1 | 2;
  step: number;
  model: ModelConfig;
  /** What computed it, as {@link machineOf} says; another one does not give the same bits. */
  machine?: string;
  /** Saved states by the name of their owner. */
  stateful: Record<string, unknown>;
  /** SHA-256 of the other files: of the whole file (format 1), or of each piece of `pieceBytes` (format 2). */
  sha256: Record<string, string | string[]>;
  /** Bytes of a piece; format 2 only. */
  pieceBytes?: number;
  /** Validation loss when it was saved, if measured. */
  valLoss?: number;
  /** Of a checkpoint of adapters: where the weights under them are. */
  base?: BaseRecord;
  /** Plugins of the process that saved it. */
  plugins?: PluginRecord[];
}

const fileName = z
  .string()
  .regex(/^[^/\\]+$/, "is not the name of a file in the folder")
  .refine((name) => name !== STATE_FILE && name !== "." && name !== "..", "is not the name of another file");

const shared = {
  step: z.number().int().min(0),
  model: z.record(z.string(), z.unknown()),
  machine: z.string().optional(),
  stateful: z.record(z.string(), z.unknown()),
  // A loss that is not finite is null in JSON.
  valLoss: z.number().nullable().optional(),
  base: z.strictObject({ path: z.string().min(1), sha256: hex }).optional(),
  plugins: z
    .array(z.strictObject({ path: z.string(), sha256: hex, members: z.array(z.string()) }))
    .optional(),
};
const stateSchema = z.discriminatedUnion("format", [
  z.object({ format: z.literal(1), ...shared, sha256: z.record(fileName, hex) }),
  z.strictObject({
    format: z.literal(2),
    ...shared,
    pieceBytes: z.number().int().min(8).multipleOf(8),
    sha256: z.record(fileName, z.array(hex).min(1)),
    seal: hex,
  }),
]);

/** NsaError `checkpoint_corrupt` (exit 3). */
export function badCheckpoint(dir: string, why: string): NsaError {
  return new NsaError({
    code: "checkpoint_corrupt",
    what: `checkpoint ${dir} cannot be used`,
    why,
    fix: "use an earlier one: --resume takes the path of a checkpoint, too",
    exitCode: ExitCode.data,
  });
}

/** The text of state.json in format 2. A `seal` that is there already is made again. */
export function sealState(state: Omit<CheckpointState, "format"> & { seal?: string }): string {
  return sealJson({ format: 2, ...state });
}

function readBytes(dir: string): Buffer {
  const path = join(dir, STATE_FILE);
  if (existsSync(path)) return readFileSync(path);
  throw new NsaError({
    code: "checkpoint_missing",
    what: `no checkpoint at ${dir}`,
    why: existsSync(dir) ? "the folder has no state.json" : "there is no such folder",
    fix: "name a folder like runs/<run>/checkpoints/step-000100",
    exitCode: ExitCode.data,
  });
}

/** Throws NsaError `plugin_missing` (exit 4) where the architecture is made of members whose plugin is not loaded. */
function checkMembers(dir: string, model: Record<string, unknown>, plugins: readonly PluginRecord[]): void {
  const { attention, attentionLayers, mlp } = model as Record<string, string | string[] | undefined>;
  const wanted = [attention, attentionLayers].flat().map((name) => ["attention", name] as const);
  for (const [kind, name] of [...wanted, ["mlp", mlp as string | undefined] as const]) {
    if (typeof name !== "string" || registeredNames(kind).includes(name)) continue;
    const plugin = plugins.find(({ members }) => members.includes(`${kind} ${name}`));
    if (plugin === undefined) continue;
    throw new NsaError({
      code: "plugin_missing",
      what: `checkpoint ${dir} has ${kind} "${name}"`,
      why: `the plugin that defines it, ${plugin.path}, is not loaded`,
      fix: "put the file back in its place, or name it: --plugin FILE, in recipes `plugins: [FILE]`",
      exitCode: ExitCode.unavailable,
    });
  }
}

function parseModel(dir: string, model: Record<string, unknown>): ModelConfig {
  try {
    return resolveModelConfig(model);
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? firstComplaint(cause, model) : undefined;
    const why = issue ? `${issue.path}: ${issue.why}` : (cause as Error).message;
    throw badCheckpoint(dir, `the architecture in state.json is not valid: ${why}`);
  }
}

/** Reads state.json, checks its schema and, in format 2, its seal. Throws `checkpoint_missing`, `checkpoint_corrupt` (exit 3). */
export function readState(dir: string): CheckpointState {
  const bytes = readBytes(dir);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw badCheckpoint(dir, "state.json is not JSON");
  }
  const format = (json as { format?: unknown } | null)?.format;
  if (typeof json !== "object" || json === null || Array.isArray(json) || format === undefined)
    throw badCheckpoint(dir, "state.json is not the state of a checkpoint: it has no `format`");
  if (format !== 1 && format !== 2) {
    throw badCheckpoint(dir, `state.json has format ${JSON.stringify(format)}; this version reads 1 and 2`);
  }
  const parsed = stateSchema.safeParse(json);
  if (!parsed.success) {
    const { path, why } = firstComplaint(parsed.error, json);
    throw badCheckpoint(dir, `state.json is not what was saved: ${path === "" ? why : `${path}: ${why}`}`);
  }
  const { data } = parsed;
  if (data.format === 2 && !isIntact(bytes, json)) {
    throw badCheckpoint(dir, "state.json is not what was saved (its seal differs)");
  }
  const { model, valLoss, ...rest } = data;
  checkMembers(dir, model, data.plugins ?? []);
  return {
    ...rest,
    model: parseModel(dir, model),
    ...(typeof valLoss === "number" ? { valLoss } : {}),
  };
}
