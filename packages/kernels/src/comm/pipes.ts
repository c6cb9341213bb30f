// Named pipes between the ranks of one machine: one in each direction for every pair, and messages that name their operation.
//
// Ranks join pair by pair in one order that all share, so none waits in a circle. A message is a head of 16 bytes (operation, bytes)
// and its payload; a head that is not what the receiver waits for means that the ranks have made different calls.
import { spawnSync } from "node:child_process";
import { existsSync, openSync, readFileSync, readSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, NsaError, PIECE_BYTES, type RankPlace, writeFully } from "@nsa/core";

const pipe = (from: number, to: number) => `${from}-to-${to}`;
const joined = (rank: number) => `${rank}.joined`;

/** Pairs of ranks in the order in which they are joined. */
const pairsOf = (world: number) =>
  Array.from({ length: world }, (_, i) =>
    Array.from({ length: world - i - 1 }, (__, j): [number, number] => [i, i + 1 + j]),
  ).flat();

/** Makes the pipes of a world in an empty folder; call it once, before the ranks start. */
export function makeRankPipes(folder: string, world: number): void {
  const names = pairsOf(world).flatMap(([a, b]) => [pipe(a, b), pipe(b, a)]);
  if (names.length === 0) return;
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

/** Operations as the head of a message names them. */
const OPERATIONS = [
  "join",
  "all-reduce",
  "reduce-scatter",
  "all-gather",
  "broadcast",
  "barrier",
  "gather",
] as const;
export type Operation = (typeof OPERATIONS)[number];

const HEAD_BYTES = 16;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/**
 * The error of a rank whose pipe has ended. When one rank ends, those that waited for it end too: the first to see it notes which it
 * was, and the others name that one.
 */
function lost(folder: string, peer: number, operation: Operation, cause?: unknown): NsaError {
  const note = join(folder, "lost");
  try {
    writeFileSync(note, String(peer), { flag: "wx" });
  } catch {
    // There is a note already, or the folder is gone with the run.
  }
  const rank = existsSync(note) ? Number(readFileSync(note, "utf8")) : peer;
  return new NsaError({
    code: "rank_lost",
    what: `rank ${rank} is gone`,
    why: `its process ended while the others waited for it in ${operation}`,
    fix: "see its error; go on with --resume",
    exitCode: ExitCode.bug,
    cause,
  });
}

const sleep = (ms: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** Waits until every rank has joined. Throws `rank_lost` for one that joined and ended, or when the run has removed the folder. */
function awaitAll({ rank, world, folder }: RankPlace): void {
  const own = join(folder, joined(rank));
  writeFileSync(`${own}.tmp`, String(process.pid));
  renameSync(`${own}.tmp`, own);
  const waiting = new Set(Array.from({ length: world }, (_, i) => i));
  for (;;) {
    for (let peer = 0; peer < world; peer++) {
      const file = join(folder, joined(peer));
      if (!existsSync(file)) continue;
      if (!isAlive(Number(readFileSync(file, "utf8")))) throw lost(folder, peer, "join");
      waiting.delete(peer);
    }
    const [absent] = waiting;
    if (absent === undefined) return;
    if (!existsSync(folder)) throw lost(folder, absent, "join");
    sleep(5);
  }
}

/** The open pipes of a rank. */
export class Lines {
  private readonly to = new Map<number, number>();
  private readonly from = new Map<number, number>();
  private readonly folder: string;

  /** Joins the world at `place.folder`; waits until all ranks have. */
  constructor(place: RankPlace) {
    const { rank, world, folder } = place;
    this.folder = folder;
    awaitAll(place);
    for (const [a, b] of pairsOf(world)) {
      if (a !== rank && b !== rank) continue;
      const peer = a === rank ? b : a;
      const write = () => this.to.set(peer, openSync(join(folder, pipe(rank, peer)), "w"));
      const read = () => this.from.set(peer, openSync(join(folder, pipe(peer, rank)), "r"));
      // Opening waits for the other end, so both open the same pipe at the same time.
      if (a === rank) {
        write();
        read();
      } else {
        read();
        write();
      }
    }
  }

  send(peer: number, operation: Operation, bytes: Uint8Array): void {
    const head = new DataView(new ArrayBuffer(HEAD_BYTES));
    head.setUint32(0, OPERATIONS.indexOf(operation));
    head.setFloat64(8, bytes.length);
    try {
      writeFully(this.to.get(peer)!, new Uint8Array(head.buffer));
      writeFully(this.to.get(peer)!, bytes);
    } catch (cause) {
      throw lost(this.folder, peer, operation, cause);
    }
  }

  /** A message of exactly `length` bytes. Throws `ranks_disagree` (exit 1) for another one. */
  receive(peer: number, operation: Operation, length: number): Uint8Array {
    const bytes = this.take(peer, operation, HEAD_BYTES);
    const head = new DataView(bytes.buffer);
    const [theirs, size] = [OPERATIONS[head.getUint32(0)], head.getFloat64(8)];
    if (theirs !== operation || size !== length) {
      throw new NsaError({
        code: "ranks_disagree",
        what: `rank ${peer} sent ${size} bytes of ${theirs}, and this rank expects ${length} of ${operation}`,
        why: "the ranks of a group must make the same calls with tensors of the same sizes",
        fix: "this is a bug of the program that made the calls",
        exitCode: ExitCode.bug,
      });
    }
    return this.take(peer, operation, length);
  }

  private take(peer: number, operation: Operation, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const n = readSync(this.from.get(peer)!, bytes, at, Math.min(length - at, PIECE_BYTES), null);
      if (n === 0) throw lost(this.folder, peer, operation);
      at += n;
    }
    return bytes;
  }
}
