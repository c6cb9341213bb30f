// Checkpoints on disk: fp32 masters and optimizer moments by parameter name, and the state of everything stateful.
//
// Tensors pass in pieces from the device to the file and back, hashed on the way by other threads: host memory does not grow with
// the model, and a save is about as fast as the disk.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  atomicWriteDir,
  atomicWriteFile,
  loadedPlugins,
  NsaError,
  PIECE_BYTES,
  PieceHasher,
  restoreReplaced,
  SafetensorsReader,
  type Stateful,
  streamSafetensors,
  writePieces,
} from "@nsa/core";
import type { Device, Tensor } from "@nsa/kernels";
import type { ModelConfig } from "../config/schema.ts";
import type { Transformer } from "../transformer/transformer.ts";
import { checkSameBase } from "./base.ts";
import { openWeights } from "./load-model.ts";
import { readCheckpointState, weightsFile } from "./read-state.ts";
import { badCheckpoint, type CheckpointState, MOMENTS, readState, STATE_FILE, sealState } from "./state.ts";
import { loadNamed, savedTensors, tensorsOf, writeWeights } from "./weights.ts";

/** For people: which checkpoint has the lowest validation loss. */
const BEST = "best.json";

/** The state of an optimizer: buffers laid out as the gradients, by name. */
export interface OptimizerState {
  readonly buffers: Readonly<Record<string, Tensor>>;
}

export interface CheckpointParts {
  model: Transformer;
  optimizer?: OptimizerState;
  stateful?: readonly Stateful[];
  step: number;
  valLoss?: number;
  /** More files by name, e.g. tokenizer.json. */
  files?: Record<string, string | Uint8Array>;
  /** Bytes of a piece, a multiple of 8; 32 MiB where it is not given. */
  pieceBytes?: number;
}

/** The device and what its bits depend on: the CPU's instruction set, or the card and its matrix library. */
export function machineOf(device: Device): string {
  const { isa, name, gemm } = device.info;
  return [device.name, isa ?? name, gemm].filter((part) => part !== undefined).join(", ");
}

/** Writes weights, moments and `files` into a folder. Resolves with the hashes of each file's pieces. */
async function writeFiles(folder: string, parts: CheckpointParts): Promise<Record<string, string[]>> {
  const { model, optimizer, pieceBytes } = parts;
  const weights = weightsFile(model);
  const hasher = new PieceHasher();
  const options = { hasher, pieceBytes };
  const moments = optimizer
    ? Object.entries(optimizer.buffers).flatMap(([key, buffer]) =>
        tensorsOf(model.parameters.tensorsIn(buffer), `.${key}`),
      )
    : undefined;
  const small = Object.entries(parts.files ?? {}).map(async ([name, content]) => {
    const bytes = Buffer.from(content);
    const source = {
      bytes: bytes.length,
      read: (into: Uint8Array, at: number) => into.set(bytes.subarray(at, at + into.length)),
    };
    return [name, await writePieces(join(folder, name), [source], options)] as const;
  });
  const large = [
    writeWeights(join(folder, weights), model, { ...options, tensors: savedTensors(model) }).then(
      (hashes) => [weights, hashes] as const,
    ),
    ...(moments
      ? [
          streamSafetensors(join(folder, MOMENTS), moments, options).then(
            (hashes) => [MOMENTS, hashes] as const,
          ),
        ]
      : []),
  ];
  try {
    const outcomes = await Promise.allSettled([...large, ...small]);
    return Object.fromEntries(
      outcomes.map((outcome) => {
        if (outcome.status === "rejected") throw outcome.reason;
        return outcome.value;
      }),
    );
  } finally {
    await hasher.close();
  }
}

/** Writes a checkpoint folder; it appears whole or not at all. The model must not change until the promise settles. */
export async function saveCheckpoint(dir: string, parts: CheckpointParts): Promise<void> {
  const { model } = parts;
  const plugins = loadedPlugins();
  const stateful: Record<string, unknown> = {};
  for (const s of parts.stateful ?? []) stateful[s.name] = await s.save();
  await atomicWriteDir(dir, async (folder) => {
    const sha256 = await writeFiles(folder, parts);
    const state = {
      step: parts.step,
      model: model.config,
      machine: machineOf(model.device),
      stateful,
      pieceBytes: parts.pieceBytes ?? PIECE_BYTES,
      sha256,
      ...(model.base ? { base: model.base } : {}),
      ...(parts.valLoss === undefined ? {} : { valLoss: parts.valLoss }),
      ...(plugins.length === 0 ? {} : { plugins }),
    };
    atomicWriteFile(join(folder, STATE_FILE), sealState(state));
  });
}

/**
 * Writes a folder of which only the architecture can be read, as a stand-in for the checkpoint that a stage will leave. Loading it
 * fails.
 */
export function writeArchitecture(dir: string, model: ModelConfig): void {
  const empty = { step: 0, stateful: {}, sha256: {}, pieceBytes: PIECE_BYTES };
  atomicWriteFile(join(dir, STATE_FILE), sealState({ ...empty, model }));
}

/** The architecture of a checkpoint, without reading its weights. Throws as {@link readCheckpointState}. */
export function readModelConfig(dir: string): ModelConfig {
  return readState(dir).model;
}

/** The moments that this rank has. */
const heldIn = ({ parameters }: Transformer, buffer: Tensor) =>
  parameters.tensorsIn(buffer).filter(({ fetch }) => !fetch);

function loadMoments(
  dir: string,
  state: CheckpointState,
  model: Transformer,
  optimizer: OptimizerState,
): void {
  if (!(MOMENTS in state.sha256)) throw badCheckpoint(dir, `it was saved without ${MOMENTS}`);
  using file = SafetensorsReader.open(join(dir, MOMENTS));
  const fileOf = (name: string) => (file.entries.has(name) ? file : undefined);
  for (const [name, buffer] of Object.entries(optimizer.buffers))
    loadNamed(fileOf, heldIn(model, buffer), { suffix: `.${name}` });
}

/** Restores what the checkpoint holds: its weights, and moments and states where given. Resolves with the saved state. */
export async function loadCheckpoint(
  dir: string,
  parts: Pick<CheckpointParts, "model" | "optimizer" | "stateful">,
): Promise<CheckpointState> {
  const state = await readCheckpointState(dir, { moments: parts.optimizer !== undefined });
  const { model } = parts;
  // A model with adapters has its base already; the checkpoint brings what was trained.
  checkSameBase(dir, state, model.base);
  using file = openWeights(dir, state);
  loadNamed((name) => (file.entries.has(name) ? file : undefined), savedTensors(model));
  model.parameters.refreshLow();
  if (parts.optimizer) loadMoments(dir, state, parts.model, parts.optimizer);
  for (const s of parts.stateful ?? []) {
    if (!(s.name in state.stateful)) throw badCheckpoint(dir, `it has no state of ${s.name}`);
    try {
      await s.load(state.stateful[s.name]);
    } catch (cause) {
      if (cause instanceof NsaError && cause.code !== "state_invalid") throw cause;
      const why = cause instanceof NsaError ? cause.why : (cause as Error).message;
      throw badCheckpoint(dir, `its state of ${s.name} is not valid: ${why}`);
    }
  }
  return state;
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
    if (best) atomicWriteFile(join(this.dir, BEST), `${JSON.stringify(best)}\n`);
    this.prune(parts.step);
    return path;
  }

  /** The checkpoint with the lowest validation loss, by what the checkpoints themselves say; the earlier of two that are equal. */
  best(): { step: number; valLoss: number } | undefined {
    let best: { step: number; valLoss: number } | undefined;
    for (const step of this.steps()) {
      const valLoss = this.valLossOf(step);
      if (valLoss !== undefined && !(best && best.valLoss <= valLoss)) best = { step, valLoss };
    }
    return best;
  }

  private valLossOf(step: number): number | undefined {
    try {
      return readState(this.path(step)).valLoss;
    } catch {
      // A damaged one is nobody's best.
      return undefined;
    }
  }

  /** Steps of the checkpoints, the earliest first. */
  private steps(): number[] {
    return readdirSync(this.dir)
      .filter((name) => /^step-\d+$/.test(name))
      .map((name) => Number(name.slice(5)))
      .sort((a, b) => a - b);
  }

  /** Clears what a process that was killed in a save left; a run has one process at a time. */
  private sweep(): void {
    if (existsSync(this.dir)) restoreReplaced(this.dir, (name) => /^step-\d+$/.test(name));
  }

  private prune(newest: number): void {
    const best = this.best()?.step;
    const steps = this.steps()
      .filter((step) => step <= newest)
      .reverse();
    for (const step of steps.slice(Math.max(1, this.keepLast))) {
      if (step !== best) rmSync(this.path(step), { recursive: true, force: true });
    }
  }
}
