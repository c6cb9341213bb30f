// Reads a checkpoint's state and vouches for its files.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { hashPieces, loadCheckpointPlugins, PieceHasher, sha256OfFile } from "@nsa/core";
import {
  ADAPTER,
  badCheckpoint,
  type CheckpointState,
  MOMENTS,
  readState,
  STATE_FILE,
  WEIGHTS,
} from "./state.ts";

/** The file of weights that a checkpoint has. */
export const weightsFile = ({ base }: Pick<CheckpointState, "base">) => (base ? ADAPTER : WEIGHTS);

/** Files that a caller reads. Moments are two thirds of a checkpoint's bytes, and nothing but a resumed training needs them. */
export interface ReadFiles {
  moments?: boolean;
}

/**
 * Checks that the folder holds the files that state.json names, no others, and that each hashes to what was saved; moments only where
 * they will be read.
 */
async function checkFiles(
  dir: string,
  state: CheckpointState,
  { moments = false }: ReadFiles,
): Promise<void> {
  const { sha256, pieceBytes } = state;
  const weights = weightsFile(state);
  if (!(weights in sha256)) throw badCheckpoint(dir, `state.json names no ${weights}`);
  // Hidden files are the file system's or the desktop's; nothing reads them.
  const there = readdirSync(dir).filter((name) => name !== STATE_FILE && !name.startsWith("."));
  const added = there.find((name) => !(name in sha256));
  if (state.format === 2 && added !== undefined)
    throw badCheckpoint(dir, `${added} was not saved with it: state.json does not name it`);
  const hasher = new PieceHasher();
  try {
    for (const [file, saved] of Object.entries(sha256)) {
      const path = join(dir, file);
      if (!existsSync(path)) throw badCheckpoint(dir, `${file} is missing`);
      if (file === MOMENTS && !moments) continue;
      const found =
        typeof saved === "string" ? await sha256OfFile(path) : await hashPieces(path, { hasher, pieceBytes });
      if (String(found) !== String(saved))
        throw badCheckpoint(dir, `${file} is not what was saved (its SHA-256 differs)`);
    }
  } finally {
    await hasher.close();
  }
}

/**
 * Loads the checkpoint's plugins, reads and checks state.json and the hashes of the files that will be read. Throws `checkpoint_missing`,
 * `checkpoint_corrupt` (exit 3).
 */
export async function readCheckpointState(dir: string, files: ReadFiles = {}): Promise<CheckpointState> {
  await loadCheckpointPlugins(dir);
  const state = readState(dir);
  await checkFiles(dir, state, files);
  return state;
}
