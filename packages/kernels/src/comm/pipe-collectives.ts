// Collectives between processes of one machine over named pipes: for data parallelism on the CPU. NCCL takes this seam on GPUs.
//
// Rank 0 gathers from rank 1, 2, … in that order, adds, and hands the sum back, so every rank holds the same bits.
import { spawnSync } from "node:child_process";
import { openSync, readSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, NsaError, PIECE_BYTES, type RankPlace, writeFully } from "@nsa/core";
import { hostArray } from "../device/dtype.ts";
import type { Collectives } from "./collectives.ts";

/** Makes the pipes of a world in an empty folder; call it once, before the ranks start. */
export function makeRankPipes(folder: string, world: number): void {
  const names = Array.from({ length: world - 1 }, (_, i) => [`${i + 1}.up`, `${i + 1}.down`]).flat();
  const run = spawnSync("mkfifo", ["-m", "600", ...names.map((name) => join(folder, name))]);
  if (run.status === 0) return;
  throw new NsaError({
    code: "ranks_unavailable",
    what: "several ranks cannot run here",
    why: `mkfifo failed: ${run.error?.message ?? run.stderr.toString().trim()}`,
    fix: "leave out --ranks",
    exitCode: ExitCode.unavailable,
  });
}

function lost(rank: number, cause?: unknown): NsaError {
  return new NsaError({
    code: "rank_lost",
    what: `rank ${rank} is gone`,
    why: "its process ended while the others waited for it",
    fix: "see its error; go on with --resume",
    exitCode: ExitCode.bug,
    cause,
  });
}

function sendTo(rank: number, fd: number, bytes: Uint8Array): void {
  try {
    writeFully(fd, bytes);
  } catch (cause) {
    throw lost(rank, cause);
  }
}

function receive(rank: number, fd: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const n = readSync(fd, bytes, at, Math.min(length - at, PIECE_BYTES), null);
    if (n === 0) throw lost(rank);
    at += n;
  }
  return bytes;
}

type Values = Float32Array | Float64Array;
const bytesOf = (x: Values) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

/** Joins the world at `place.folder`; waits until all ranks have. A rank that ends makes the others throw `rank_lost`. */
export function openRankPipes(place: RankPlace, pieceElements = PIECE_BYTES / 8): Collectives {
  const { rank, world, folder } = place;
  const peers = rank === 0 ? Array.from({ length: world - 1 }, (_, i) => i + 1) : [0];
  const lines = peers.map((peer) => {
    const at = (name: string) => join(folder, name);
    if (rank !== 0) {
      const up = openSync(at(`${rank}.up`), "w");
      return { peer, from: openSync(at(`${rank}.down`), "r"), to: up };
    }
    const up = openSync(at(`${peer}.up`), "r");
    return { peer, from: up, to: openSync(at(`${peer}.down`), "w") };
  });

  /** `values` become the sum over ranks. */
  function reduce<T extends Values>(values: T): T {
    const make = values.constructor as new (buffer: ArrayBufferLike) => T;
    if (rank !== 0) {
      const { peer, from, to } = lines[0]!;
      sendTo(peer, to, bytesOf(values));
      return new make(receive(peer, from, values.byteLength).buffer);
    }
    for (const { peer, from } of lines) {
      const theirs = new make(receive(peer, from, values.byteLength).buffer);
      for (let i = 0; i < values.length; i++) values[i] = values[i]! + theirs[i]!;
    }
    for (const { peer, to } of lines) sendTo(peer, to, bytesOf(values));
    return values;
  }

  return {
    rank,
    world,
    allReduceSum(t) {
      // In pieces: gradients grow with the model, and host memory should not.
      for (let at = 0; at < t.numel; at += pieceElements) {
        const values = hostArray(t.dtype, Math.min(pieceElements, t.numel - at));
        if (!(values instanceof Float32Array) && !(values instanceof Float64Array))
          throw new Error(`no sum over ranks of ${t.dtype}`);
        t.device.readInto(t, values, at);
        t.device.writeRaw(t, reduce(values), at);
      }
    },
    allReduceNumbers: (values) => Array.from(reduce(Float64Array.from(values))),
  };
}
