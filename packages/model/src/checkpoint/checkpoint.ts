// Checkpoints on disk: fp32 masters and optimizer moments by parameter name, and the state of everything stateful.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  atomicWriteDir,
  atomicWriteFile,
  ExitCode,
  floatsOf,
  NsaError,
  readSafetensors,
  type SafetensorsFile,
  type Stateful,
  writeSafetensors,
} from "@nsa/core";
import type { Device, Tensor } from "@nsa/kernels";
import { type ModelConfig, resolveModelConfig } from "../config/model-config.ts";
import type { Optimizer } from "../train/optimizer.ts";
import type { Parameters } from "../transformer/parameters.ts";
import { Transformer } from "../transformer/transformer.ts";

export interface CheckpointState {
  format: 1;
  step: number;
  model: ModelConfig;
  /** What computed it, as {@link machineOf} says; another one does not give the same bits. */
  machine?: string;
  /** Saved states by the name of their owner. */
  stateful: Record<string, unknown>;
  /** SHA-256 of the other files. */
  sha256: Record<string, string>;
  /** Validation loss when it was saved, if measured. */
  valLoss?: number;
}

export interface CheckpointParts {
  model: Transformer;
  optimizer?: Optimizer;
  stateful?: readonly Stateful[];
  step: number;
  valLoss?: number;
  /** More files by name, e.g. tokenizer.json. */
  files?: Record<string, string | Uint8Array>;
}

function bad(path: string, why: string): NsaError {
  return new NsaError({
    code: "checkpoint_corrupt",
    what: `checkpoint ${path} cannot be used`,
    why,
    fix: "use an earlier one: --resume takes the path of a checkpoint, too",
    exitCode: ExitCode.data,
  });
}

function named(parameters: Parameters, buffer: Tensor) {
  return parameters.names.map(({ name, shape }) => ({
    name,
    dtype: "F32" as const,
    shape,
    data: () => {
      const { offset } = parameters.range(name);
      const view = buffer.view(offset, shape);
      const values = buffer.dtype === "f32" ? view.device.readRaw(view) : view.read();
      view.free();
      return values instanceof Float32Array ? values : Float32Array.from(values as Float64Array);
    },
  }));
}

/** Writes the fp32 masters under their Hugging Face names. */
export function writeWeights(path: string, model: Transformer): void {
  const tensors = named(model.parameters, model.parameters.flat);
  writeSafetensors(path, tensors, { format: "pt", nsa_config: JSON.stringify(model.config) });
}

/** The device and what its bits depend on: the CPU's instruction set, or the card and its matrix library. */
export function machineOf(device: Device): string {
  const { isa, name, gemm } = device.info;
  return [device.name, isa ?? name, gemm].filter((part) => part !== undefined).join(", ");
}

const hashOf = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** Writes a checkpoint folder; it appears whole or not at all. */
export async function saveCheckpoint(dir: string, parts: CheckpointParts): Promise<void> {
  const { model, optimizer } = parts;
  const stateful: Record<string, unknown> = {};
  for (const s of parts.stateful ?? []) stateful[s.name] = await s.save();
  await atomicWriteDir(dir, (folder) => {
    writeWeights(join(folder, "model.safetensors"), model);
    if (optimizer) {
      const moments = (["m", "v"] as const).flatMap((key) =>
        named(model.parameters, optimizer[key]).map((t) => ({ ...t, name: `${t.name}.${key}` })),
      );
      writeSafetensors(join(folder, "optimizer.safetensors"), moments);
    }
    for (const [name, content] of Object.entries(parts.files ?? {}))
      writeFileSync(join(folder, name), content);
    const sha256 = Object.fromEntries(readdirSync(folder).map((file) => [file, hashOf(join(folder, file))]));
    const state: CheckpointState = {
      format: 1,
      step: parts.step,
      model: model.config,
      machine: machineOf(model.device),
      stateful,
      sha256,
      ...(parts.valLoss === undefined ? {} : { valLoss: parts.valLoss }),
    };
    writeFileSync(join(folder, "state.json"), `${JSON.stringify(state, null, 1)}\n`);
  });
}

function readState(dir: string): CheckpointState {
  const path = join(dir, "state.json");
  if (!existsSync(path)) {
    throw new NsaError({
      code: "checkpoint_missing",
      what: `no checkpoint at ${dir}`,
      why: existsSync(dir) ? "the folder has no state.json" : "there is no such folder",
      fix: "name a folder like runs/<run>/checkpoints/step-000100",
      exitCode: ExitCode.data,
    });
  }
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    throw bad(dir, "state.json is not JSON");
  }
}

/** Reads and checks state.json and the hashes of all files. Throws `checkpoint_missing`, `checkpoint_corrupt` (exit 3). */
export function readCheckpointState(dir: string): CheckpointState {
  const state = readState(dir);
  for (const [file, hash] of Object.entries(state.sha256 ?? {})) {
    const at = join(dir, file);
    if (!existsSync(at)) throw bad(dir, `${file} is missing`);
    if (hashOf(at) !== hash) throw bad(dir, `${file} is not what was saved (its SHA-256 differs)`);
  }
  return state;
}

/** The architecture of a checkpoint, without reading its weights. Throws as {@link readCheckpointState}. */
export function readModelConfig(dir: string): ModelConfig {
  return resolveModelConfig(readState(dir).model);
}

/** Copies named tensors into a buffer laid out as the parameters. Throws `checkpoint_mismatch` (exit 3). */
export function loadNamed(file: SafetensorsFile, parameters: Parameters, buffer: Tensor, suffix = ""): void {
  for (const { name, shape } of parameters.names) {
    const entry = file.tensors.get(name + suffix);
    if (entry?.shape.join() !== shape.join()) {
      throw new NsaError({
        code: "checkpoint_mismatch",
        what: `${name}${suffix} does not fit the model`,
        why: `wanted [${shape}], the checkpoint has ${entry ? `[${entry.shape}]` : "none"}`,
        fix: "use the configuration the checkpoint was trained with",
        exitCode: ExitCode.data,
      });
    }
    const { offset } = parameters.range(name);
    buffer.write(floatsOf(entry), offset);
  }
}

/** Restores weights, and moments and states where given. Returns the saved state. */
export async function loadCheckpoint(
  dir: string,
  parts: Pick<CheckpointParts, "model" | "optimizer" | "stateful">,
): Promise<CheckpointState> {
  const state = readCheckpointState(dir);
  const { parameters } = parts.model;
  loadNamed(readSafetensors(join(dir, "model.safetensors")), parameters, parameters.flat);
  parameters.refreshLow();
  if (parts.optimizer) {
    const moments = readSafetensors(join(dir, "optimizer.safetensors"));
    loadNamed(moments, parameters, parts.optimizer.m, ".m");
    loadNamed(moments, parameters, parts.optimizer.v, ".v");
  }
  for (const s of parts.stateful ?? []) {
    if (!(s.name in state.stateful)) throw bad(dir, `it has no state of ${s.name}`);
    await s.load(state.stateful[s.name]);
  }
  return state;
}

/** A model with the architecture and weights of a checkpoint, e.g. for generation or as a reference policy. */
export function loadModel(device: Device, dir: string, overrides: Partial<ModelConfig> = {}): Transformer {
  const state = readCheckpointState(dir);
  const model = new Transformer(device, resolveModelConfig({ ...state.model, ...overrides }));
  loadNamed(readSafetensors(join(dir, "model.safetensors")), model.parameters, model.parameters.flat);
  model.parameters.refreshLow();
  return model;
}

/** The checkpoints of a run: last k and the best by validation loss. */
export class CheckpointStore {
  constructor(
    readonly dir: string,
    private readonly keepLast: number,
  ) {}

  path(step: number): string {
    return join(this.dir, `step-${String(step).padStart(6, "0")}`);
  }

  /** Saves, notes the best, and removes those that are neither recent nor best. */
  async save(parts: CheckpointParts): Promise<string> {
    const path = this.path(parts.step);
    this.sweep();
    await saveCheckpoint(path, parts);
    const best = this.best();
    if (parts.valLoss !== undefined && !(best && best.valLoss <= parts.valLoss)) {
      atomicWriteFile(
        join(this.dir, "best.json"),
        `${JSON.stringify({ step: parts.step, valLoss: parts.valLoss })}\n`,
      );
    }
    this.prune(parts.step);
    return path;
  }

  best(): { step: number; valLoss: number } | undefined {
    const path = join(this.dir, "best.json");
    return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
  }

  /** Removes what a process that was killed in a save left; a run has one process at a time. */
  private sweep(): void {
    if (!existsSync(this.dir)) return;
    for (const name of readdirSync(this.dir))
      if (/^step-\d+\.tmp-\d+$/.test(name)) rmSync(join(this.dir, name), { recursive: true, force: true });
  }

  private prune(newest: number): void {
    const best = this.best()?.step;
    const steps = readdirSync(this.dir)
      .filter((name) => /^step-\d+$/.test(name))
      .map((name) => Number(name.slice(5)))
      .filter((step) => step <= newest)
      .sort((a, b) => b - a);
    for (const step of steps.slice(Math.max(1, this.keepLast))) {
      if (step !== best) rmSync(this.path(step), { recursive: true, force: true });
    }
  }
}
