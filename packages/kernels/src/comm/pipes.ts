// Named pipes between the ranks of one machine: one in each direction for every pair, and messages that name their operation.
//
// A rank opens the ends that it reads, joins, and opens the others once all have joined. A message is a head of 16 bytes (operation,
// bytes) and its payload; a head that is not what the receiver waits for means that the ranks have made different calls. No end blocks: a
// rank that waits sleeps, looks for the peer's signs of life, and gives it up when it has ended or does not respond.
import { spawnSync } from "node:child_process";
import {
  constants,
  existsSync,
  linkSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { ExitCode, NsaError, PIECE_BYTES, type RankPlace } from "@nsa/core";
import { Patience, rankLimitMs, startPulse } from "./pulse.ts";

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

/** Whether a process runs; one that has ended and was not waited for does not. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    return true;
  }
}

/** The rank that was given up first, and whether it had ended (or did not respond). */
interface Loss {
  rank: number;
  ended: boolean;
}

/**
 * The error of a rank that waits for one that ended or does not respond. When one rank ends, those that waited for it end too: the first to
 * see it notes which it was, and the others name that one.
 */
function lost(folder: string, loss: Loss, operation: Operation, cause?: unknown): NsaError {
  const note = join(folder, "lost");
  const own = `${note}-${process.pid}`;
  try {
    // Linked into place whole: another rank may read it at once.
    writeFileSync(own, JSON.stringify(loss));
    linkSync(own, note);
  } catch {
    // There is a note already, or the folder is gone with the run.
  }
  rmSync(own, { force: true });
  const { rank, ended } = existsSync(note) ? (JSON.parse(readFileSync(note, "utf8")) as Loss) : loss;
  if (!ended) return rankHung(rank, operation, cause);
  return new NsaError({
    code: "rank_lost",
    what: `rank ${rank} is gone`,
    why: `its process ended while the others waited for it in ${operation}`,
    fix: "see its error; go on with --resume",
    exitCode: ExitCode.bug,
    cause,
  });
}

/** The error of a rank that gives no sign of life. */
export function rankHung(rank: number, where: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "rank_hung",
    what: `rank ${rank} does not respond`,
    why: `it gave no sign of life for ${rankLimitMs() / 1000} s while the others waited for it in ${where}`,
    fix: "see its log in ranks/ of the run; go on with --resume",
    exitCode: ExitCode.bug,
    cause,
  });
}

/** Sleeps, and gives the milliseconds that it took: more than were asked for on a busy machine, but not the time in which it was suspended. */
function sleep(ms: number): number {
  const from = performance.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  return Math.min(performance.now() - from, ms + LONGEST_DELAY_MS);
}

/** A process that wakes later than this was suspended. */
const LONGEST_DELAY_MS = 50;

/** Waits until every rank has joined. Throws as {@link lost} for one that ended or does not respond, or when the run has removed the folder. */
function awaitAll({ rank, world, folder }: RankPlace, limitMs: number): void {
  const own = join(folder, joined(rank));
  writeFileSync(`${own}.tmp`, String(process.pid));
  renameSync(`${own}.tmp`, own);
  const patience = Array.from({ length: world }, (_, peer) => new Patience(folder, peer, limitMs));
  const waiting = new Set(patience.keys());
  for (;;) {
    for (let peer = 0; peer < world; peer++) {
      const file = join(folder, joined(peer));
      if (!existsSync(file)) continue;
      if (!isAlive(Number(readFileSync(file, "utf8"))))
        throw lost(folder, { rank: peer, ended: true }, "join");
      waiting.delete(peer);
    }
    const [absent] = waiting;
    if (absent === undefined) return;
    if (!existsSync(folder)) throw lost(folder, { rank: absent, ended: true }, "join");
    const slept = sleep(5);
    for (const peer of waiting)
      if (patience[peer]!.isOver(slept)) throw lost(folder, { rank: peer, ended: false }, "join");
  }
}

/** Tries before a rank sleeps, and its shortest and longest sleep, ms. */
const TRIES = 4;
const [NAP_MS, LONGEST_NAP_MS] = [0.05, 2];

/** The open pipes of a rank. */
export class Lines {
  private readonly to = new Map<number, number>();
  private readonly from = new Map<number, number>();
  private readonly pids = new Map<number, number>();
  /** Peers that have sent something: when their pipe ends, so have they. */
  private readonly begun = new Set<number>();
  private readonly folder: string;
  private readonly limitMs = rankLimitMs();

  /** Joins the world at `place.folder`; waits until all ranks have. */
  constructor(place: RankPlace) {
    const { rank, world, folder } = place;
    this.folder = folder;
    startPulse(place);
    const peers = Array.from({ length: world }, (_, i) => i).filter((peer) => peer !== rank);
    const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants;
    for (const peer of peers)
      this.from.set(peer, openSync(join(folder, pipe(peer, rank)), O_RDONLY | O_NONBLOCK));
    awaitAll(place, this.limitMs);
    for (const peer of peers) {
      this.pids.set(peer, Number(readFileSync(join(folder, joined(peer)), "utf8")));
      try {
        this.to.set(peer, openSync(join(folder, pipe(rank, peer)), O_WRONLY | O_NONBLOCK));
      } catch (cause) {
        throw lost(folder, { rank: peer, ended: true }, "join", cause);
      }
    }
  }

  send(peer: number, operation: Operation, bytes: Uint8Array): void {
    const head = new DataView(new ArrayBuffer(HEAD_BYTES));
    head.setUint32(0, OPERATIONS.indexOf(operation));
    head.setFloat64(8, bytes.length);
    this.write(peer, operation, new Uint8Array(head.buffer));
    this.write(peer, operation, bytes);
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

  private write(peer: number, operation: Operation, bytes: Uint8Array): void {
    const fd = this.to.get(peer)!;
    const some = (at: number) => writeSync(fd, bytes, at, Math.min(bytes.length - at, PIECE_BYTES));
    this.move(peer, operation, bytes.length, some);
  }

  private take(peer: number, operation: Operation, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const fd = this.from.get(peer)!;
    this.move(peer, operation, length, (at) => {
      const n = readSync(fd, bytes, at, Math.min(length - at, PIECE_BYTES), null);
      if (n > 0) this.begun.add(peer);
      // Nothing is at the other end: the peer has ended, or has not opened it yet.
      else if (this.begun.has(peer) || !isAlive(this.pids.get(peer)!))
        throw lost(this.folder, { rank: peer, ended: true }, operation);
      return n;
    });
    return bytes;
  }

  /** Moves `length` bytes by calls of `some`, which gives how many it moved from a place on, and waits while it can move none. */
  private move(peer: number, operation: Operation, length: number, some: (at: number) => number): void {
    let [tries, nap] = [0, NAP_MS];
    let patience: Patience | undefined;
    for (let at = 0; at < length; ) {
      const moved = this.attempt(peer, operation, () => some(at));
      at += moved;
      if (moved > 0) {
        [tries, nap, patience] = [0, NAP_MS, undefined];
        continue;
      }
      if (++tries < TRIES) continue;
      const slept = sleep(nap);
      patience ??= new Patience(this.folder, peer, this.limitMs);
      if (patience.isOver(slept)) throw lost(this.folder, { rank: peer, ended: false }, operation);
      nap = Math.min(2 * nap, LONGEST_NAP_MS);
    }
  }

  private attempt(peer: number, operation: Operation, some: () => number): number {
    try {
      return some();
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === "EAGAIN") return 0;
      if (code === "EPIPE") throw lost(this.folder, { rank: peer, ended: true }, operation, cause);
      throw cause;
    }
  }
}
