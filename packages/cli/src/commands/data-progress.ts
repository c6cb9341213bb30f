// Progress of `nsa data …` on stderr: how much is done, how fast, how long it will take.
import type { StageProgress } from "@nsa/data";
import { duration } from "../view/format.ts";

export interface ProgressOptions {
  /** One line that changes, else lines. */
  changing: boolean;
}

/** Lines no closer than this, ms; the last line of a stage is always printed. */
const EVERY = 1000;
/** Steps over small tables of all shards have no rate worth telling, bytes/s. */
const SLOWEST = 50_000;

/** Prints `stage: done/total, MB/s, … left`; the rate counts the bytes that this run worked on. */
export function stageProgress({ changing }: ProgressOptions): (p: StageProgress) => void {
  let stage = "";
  let start = 0;
  let printed = 0;
  return (p) => {
    const now = performance.now();
    if (p.stage !== stage) {
      stage = p.stage;
      start = now;
      printed = now;
    }
    const last = p.done === p.total;
    if (!last && !changing && now - printed < EVERY) return;
    printed = now;
    const seconds = (now - start) / 1000;
    const rate = p.bytes / seconds;
    const parts = [`${p.stage}: ${p.done}/${p.total}`];
    if (p.skipped > 0) parts[0] += ` (${p.skipped} from before)`;
    if (rate > SLOWEST) parts.push(`${(rate / 1e6).toFixed(1)} MB/s`);
    if (last) parts.push(duration(seconds));
    else if (p.bytes > 0) parts.push(`${duration((p.totalBytes - p.bytes) / rate)} left`);
    const text = parts.join(", ");
    if (changing) process.stderr.write(`\r\u001b[K${text}${last ? "\n" : ""}`);
    else if (last || p.bytes > 0) console.error(text);
  };
}

/** Whether a changing line suits: people at a terminal who did not ask for lines or JSON. */
export function changingLine(options: { plain?: boolean; json?: boolean }): boolean {
  return process.stderr.isTTY === true && !options.plain && !options.json;
}
