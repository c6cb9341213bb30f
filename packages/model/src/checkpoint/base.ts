// What a checkpoint of adapters lies on: the checkpoint of its frozen weights, by path and fingerprint.
//
// Such a checkpoint holds the adapters and what else was trained (`adapter.safetensors`), not the weights under them. These are read from
// the base, which may itself be a checkpoint of adapters: then its weights are those with its adapters merged in, and so on down to a
// checkpoint that is whole. A base that changed is refused: the adapters would be added to weights that they were not trained with.
import { createHash } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { atomicWriteFile, ExitCode, NsaError, SafetensorsReader } from "@nsa/core";
import type { LoraConfig } from "../adapter/config.ts";
import { readCheckpointState, weightsFile } from "./read-state.ts";
import { ADAPTER, type BaseRecord, type CheckpointState, STATE_FILE, sealState, WEIGHTS } from "./state.ts";

/** SHA-256 over the hashes of a checkpoint's weights, those of its base included. */
export function weightsSha256({ sha256, base }: CheckpointState): string {
  const hash = createHash("sha256");
  for (const file of [WEIGHTS, ADAPTER]) if (file in sha256) hash.update(`${file} ${String(sha256[file])}\n`);
  if (base) hash.update(`base ${base.sha256}\n`);
  return hash.digest("hex");
}

/** What a checkpoint is to one that is trained on it. */
export const baseRecord = (dir: string, state: CheckpointState): BaseRecord => ({
  path: realpathSync(resolve(dir)),
  sha256: weightsSha256(state),
});

function missing(dir: string, { path }: BaseRecord): NsaError {
  return new NsaError({
    code: "base_missing",
    what: `the base of ${dir} is not there`,
    why: `its adapters belong to the weights of ${path}`,
    fix: "put the folder back, or say where it is now: nsa model rebase <checkpoint> <base>",
    exitCode: ExitCode.data,
  });
}

function changed(dir: string, path: string): NsaError {
  return new NsaError({
    code: "base_changed",
    what: `${path} is not the base of ${dir}`,
    why: "its weights are others than those that the adapters were trained with (their SHA-256 differs)",
    fix: "restore the base, or name the right folder: nsa model rebase <checkpoint> <base>",
    exitCode: ExitCode.data,
  });
}

/** Throws NsaError `base_changed` (exit 3) where the checkpoint lies on other weights than `base`. */
export function checkSameBase(dir: string, state: CheckpointState, base: BaseRecord | undefined): void {
  if (state.base && base && state.base.sha256 !== base.sha256) throw changed(dir, base.path);
}

/** A checkpoint of a chain: its own tensors, and the adapters among them. */
export interface Level {
  dir: string;
  state: CheckpointState;
  file: SafetensorsReader;
  lora: LoraConfig | undefined;
}

/** A checkpoint and those it lies on, itself first; closes their files in the end. */
export class CheckpointChain implements Disposable {
  private constructor(readonly levels: readonly Level[]) {}

  /** Checks the files of all levels. Throws NsaError `base_missing`, `base_changed` and what reading a checkpoint throws (exit 3). */
  static async open(dir: string, state: CheckpointState): Promise<CheckpointChain> {
    const levels: Level[] = [];
    const chain = new CheckpointChain(levels);
    try {
      for (let [at, own] = [dir, state]; ; ) {
        const file = SafetensorsReader.open(join(at, weightsFile(own)));
        levels.push({ dir: at, state: own, file, lora: own.base ? own.model.lora : undefined });
        if (!own.base) return chain;
        const { base } = own;
        if (!existsSync(join(base.path, STATE_FILE))) throw missing(at, base);
        const next = await readCheckpointState(base.path);
        if (weightsSha256(next) !== base.sha256) throw changed(at, base.path);
        [at, own] = [base.path, next];
      }
    } catch (error) {
      chain[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const { file } of this.levels) file.close();
  }
}

/** Notes that the base of a checkpoint of adapters lies elsewhere now. Throws NsaError `no_adapter`, `base_changed` (exit 3). */
export async function rebaseCheckpoint(dir: string, path: string): Promise<void> {
  const state = await readCheckpointState(dir);
  if (!state.base) throw noAdapter(dir);
  const found = baseRecord(path, await readCheckpointState(path));
  if (found.sha256 !== state.base.sha256) throw changed(dir, path);
  const { format: _, ...rest } = state;
  atomicWriteFile(join(dir, STATE_FILE), sealState({ ...rest, base: found }));
}

/** NsaError `no_adapter` (exit 3). */
export function noAdapter(dir: string): NsaError {
  return new NsaError({
    code: "no_adapter",
    what: `checkpoint ${dir} has no adapters`,
    why: "it holds whole weights",
    fix: "name a checkpoint of a recipe with `adapter`",
    exitCode: ExitCode.data,
  });
}
