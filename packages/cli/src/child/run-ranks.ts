// One job in several trainer processes that share every step; one rank is just a child.
import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitCode, latestCheckpoint, NsaError, type StageEvent, type StageResult } from "@nsa/core";
import type { Job } from "./messages.ts";
import { type ChildOptions, runInChild } from "./run-in-child.ts";

/** GPUs that this process may use; 0 where none is found. */
function gpuCount(): number {
  const visible = process.env.CUDA_VISIBLE_DEVICES;
  if (visible !== undefined)
    return visible.split(",").filter((id) => id.trim() !== "" && id.trim() !== "-1").length;
  const listed = spawnSync("nvidia-smi", ["-L"], { encoding: "utf8" });
  return listed.status === 0 ? listed.stdout.split("\n").filter((line) => line.startsWith("GPU ")).length : 0;
}

/** More ranks than a machine has cores or GPUs; each pair of them has two pipes. */
const MAX_RANKS = 1024;

/**
 * The number of ranks that --ranks names, default 1; `auto` is one for each GPU with --device cuda, else 1, and gives its reason to `remark`.
 * Throws `ranks_invalid` (exit 2).
 */
export function worldOf(
  { ranks = "1", device }: { ranks?: string; device: string },
  remark: (text: string) => void = () => {},
): number {
  if (ranks === "auto") {
    const gpus = device === "cuda" ? gpuCount() : 0;
    const world = Math.max(1, gpus);
    remark(
      device === "cuda"
        ? `--ranks auto: ${world}, ${gpus > 0 ? "one for each GPU" : "since no GPU was found"}`
        : "--ranks auto: 1; it is one for each GPU with --device cuda, and on the CPU one process uses all cores",
    );
    return world;
  }
  const world = Number(ranks);
  if (Number.isInteger(world) && world >= 1 && world <= MAX_RANKS) return world;
  throw new NsaError({
    code: "ranks_invalid",
    what: `--ranks ${ranks}`,
    why: `it is no number of processes from 1 to ${MAX_RANKS}`,
    fix: `give a whole number from 1 to ${MAX_RANKS}, or auto`,
    exitCode: ExitCode.usage,
  });
}

/** Time in which the other ranks notice by themselves that one is gone, and end with an error that names the operation. */
const GRACE_MS = 2000;
const WATCH_MS = 250;

interface Failure {
  rank: number;
  error: Error;
}

/** Whether a process was stopped (SIGSTOP) and not continued. */
function isStopped({ pid }: ChildProcess): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat[stat.lastIndexOf(")") + 2] === "T";
  } catch {
    return false;
  }
}

/** An error between ranks with the last step that was done and the checkpoint to go on from; others as they are. */
export function withPlace(error: Error, step: number, runDir: string): Error {
  if (!(error instanceof NsaError) || !/^(rank|trainer)_/.test(error.code)) return error;
  const { code, what, why, exitCode } = error;
  const checkpoint = latestCheckpoint(runDir);
  const place = step === 0 ? "no step was done" : `step ${step} was the last one done`;
  const fix = checkpoint
    ? `go on from ${checkpoint} with --resume ${runDir}`
    : "there is no checkpoint yet: start it again";
  return new NsaError({ code, what, why: `${why}; ${place}`, fix, exitCode, cause: error });
}

/** The ranks of a run, as their parent sees them. */
class Ranks {
  private readonly children = new Map<number, ChildProcess>();
  private readonly failures: Failure[] = [];
  private readonly ended = new Set<number>();
  /** Milliseconds that each rank has not responded, or has run on behind others that are done. */
  private readonly idle = new Map<number, number>();
  private step = 0;

  constructor(
    private readonly job: Job,
    private readonly world: number,
    private readonly options: ChildOptions,
  ) {}

  async run(folder: string): Promise<StageResult> {
    const { rankHung, rankLimitMs } = await import("@nsa/kernels");
    const watch = setInterval(() => {
      for (const [rank, child] of this.children) {
        if (this.ended.has(rank)) continue;
        const still = isStopped(child) || this.ended.size > 0;
        this.idle.set(rank, still ? (this.idle.get(rank) ?? 0) + WATCH_MS : 0);
        // Ranks that wait for it have reached their limit before, and name the operation.
        if (this.idle.get(rank)! < rankLimitMs() + GRACE_MS) continue;
        const { what, why, ...more } = rankHung(rank, isStopped(child) ? "a stopped process" : "its end");
        this.fail({ rank, error: new NsaError({ ...more, what, why, fix: "", exitCode: ExitCode.bug }) });
      }
    }, WATCH_MS);
    try {
      const ranks = Array.from({ length: this.world }, (_, rank) => this.start(rank, folder));
      const [first] = await Promise.all(ranks);
      if (this.failures.length > 0) throw this.cause();
      return first!;
    } finally {
      clearInterval(watch);
    }
  }

  private async start(rank: number, folder: string): Promise<StageResult | undefined> {
    const { job, world, options } = this;
    const ranks = { rank, world, folder, runDir: job.runDir };
    const onEvent = (event: StageEvent) => {
      if (event.type === "start" || event.type === "step") this.step = event.step;
      options.onEvent(event);
    };
    const onStart = (child: ChildProcess) => {
      this.children.set(rank, child);
      options.onStart?.(child);
    };
    try {
      const own = { ...options, onEvent: rank === 0 ? onEvent : () => undefined, onStart };
      return await runInChild({ ...job, ranks }, own);
    } catch (error) {
      this.fail({ rank, error: error as Error });
      return undefined;
    } finally {
      this.ended.add(rank);
    }
  }

  private fail(failure: Failure): void {
    this.failures.push(failure);
    if (this.failures.length > 1) return;
    const end = () => {
      for (const child of this.children.values()) child.kill("SIGKILL");
    };
    setTimeout(end, GRACE_MS).unref();
  }

  /** Why the run has ended: the first failure that is of a rank itself, with what the others waited for. */
  private cause(): Error {
    const codeOf = ({ error }: Failure) => (error instanceof NsaError ? error.code : "");
    const waited = this.failures.find((f) => codeOf(f) === "rank_lost");
    const { rank, error } = this.failures.find((f) => codeOf(f) !== "rank_lost") ?? this.failures[0]!;
    const { runDir } = this.job;
    if (!(error instanceof NsaError) || !error.code.startsWith("trainer_"))
      return withPlace(error, this.step, runDir);
    const { code, what, why, fix, exitCode } = error;
    const others = waited ? `; ${waited.error.message}` : "";
    const named = new NsaError({
      code,
      what: `rank ${rank}: ${what}`,
      why: `${why}${others}`,
      fix,
      exitCode,
    });
    return withPlace(named, this.step, runDir);
  }
}

/** Runs the ranks side by side. When one fails, is stopped or hangs, the others are ended and its error is thrown. */
export async function runRanks(job: Job, world: number, options: ChildOptions): Promise<StageResult> {
  if (world === 1) return runInChild(job, options);
  const { makeRankPipes } = await import("@nsa/kernels");
  const folder = mkdtempSync(join(tmpdir(), "nsa-ranks-"));
  try {
    makeRankPipes(folder, world);
    return await new Ranks(job, world, options).run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
