// What ranks agree on before their stage begins: that they run the same recipe and code, and the checkpoint that they go on from.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { atomicWriteFile, type RankPlace } from "@nsa/core";
import { nativeDir, rankHung, rankLimitMs } from "@nsa/kernels";
import type { Job } from "./messages.ts";

const POLL_MS = 20;

const hashOf = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex").slice(0, 12);

/** What all ranks must share, by name: hashes of the recipe and of the program with its native library. */
export function identityOf({ stage, config }: Pick<Job, "stage" | "config">): Record<string, string> {
  const files = [process.argv[1]!, join(nativeDir(), "nsa.node")].filter((path) => existsSync(path));
  return {
    stage,
    recipe: hashOf(JSON.stringify(config)),
    code: hashOf(files.map((path) => hashOf(readFileSync(path))).join()),
  };
}

/**
 * The checkpoint that rank 0 finds, on every rank: rank 0 alone puts back what a save that was cut short has left.
 * Throws NsaError `rank_hung` (exit 1) where rank 0 does not come.
 */
export async function checkpointOfRanks(
  { rank, folder }: RankPlace,
  find: () => string | undefined,
): Promise<string | undefined> {
  const note = join(folder, "checkpoint");
  if (rank === 0) {
    const found = find();
    atomicWriteFile(note, found ?? "");
    return found;
  }
  for (let waited = 0; !existsSync(note); waited += POLL_MS) {
    if (waited > rankLimitMs()) throw rankHung(0, "start");
    await setTimeout(POLL_MS);
  }
  return readFileSync(note, "utf8") || undefined;
}
