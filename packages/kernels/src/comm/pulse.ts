// Signs of life of the ranks of one machine: each touches a file of its own while it makes progress, so that one that does not respond shows.
//
// Progress is an op of a device, a turn of the event loop (awaited files, programs that score) or waiting for another rank: a process that
// is stopped, or that loops without any of them, makes none.
import { statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile } from "@nsa/core";
import { progress } from "../device/progress.ts";

const EVERY_MS = 200;
/** Seconds after which a rank that makes no progress is given up; with the time to end the others a run ends within a minute. */
const LIMIT_SECONDS = 45;

/** The variable that sets the limit. */
const LIMIT_NAME = "NSA_RANK_LIMIT_SECONDS";

/** Milliseconds that others wait for a rank without a sign of life. */
export function rankLimitMs(): number {
  const given = Number(process.env[LIMIT_NAME]);
  return 1000 * (given > 0 ? given : LIMIT_SECONDS);
}

const fileOf = (folder: string, rank: number) => join(folder, `${rank}.alive`);

/** When a rank last gave a sign of life, ms since the epoch; 0 where it never has. */
const lastSign = (folder: string, rank: number): number =>
  statSync(fileOf(folder, rank), { throwIfNoEntry: false })?.mtimeMs ?? 0;

let beating: string | undefined;
let last = 0;

/** A sign of life, where one is due. */
export function beat(): void {
  const now = performance.now();
  if (beating === undefined || now - last < EVERY_MS) return;
  last = now;
  try {
    utimesSync(beating, new Date(), new Date());
  } catch {
    // The run is over, and its folder is gone.
  }
}

/** Gives signs of life of this rank from here on; a second call for the same rank changes nothing. */
export function startPulse({ folder, rank }: { folder: string; rank: number }): void {
  const file = fileOf(folder, rank);
  if (beating === file) return;
  if (beating === undefined) setInterval(beat, EVERY_MS).unref();
  beating = file;
  atomicWriteFile(file, "");
  progress.onOp = beat;
}

/** How long this process has waited for another one that gave no sign of life meanwhile; time in which it was itself stopped does not count. */
export class Patience {
  private waited = 0;
  private unchecked = 0;
  private seen: number;

  constructor(
    private readonly folder: string,
    private readonly peer: number,
    private readonly limitMs: number,
  ) {
    this.seen = lastSign(folder, peer);
  }

  /** Counts milliseconds of waiting; true where the limit is reached. */
  isOver(ms: number): boolean {
    beat();
    this.waited += ms;
    this.unchecked += ms;
    if (this.unchecked < EVERY_MS) return false;
    this.unchecked = 0;
    const sign = lastSign(this.folder, this.peer);
    if (sign !== this.seen) this.waited = 0;
    this.seen = sign;
    return this.waited >= this.limitMs;
  }
}
