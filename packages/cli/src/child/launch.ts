// A rank that torchrun, srun or mpirun has started: which one it is, the folder of the rendezvous, and the run that rank 0 has opened for all.
//
// The rendezvous of a launch is a folder of this machine: that of NSA_RENDEZVOUS, else one named after the launch. Rank 0 makes a new folder
// in it with the pipes and names it in `current`; a name whose process has ended was left by an earlier launch and is passed over.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { atomicWriteFile, ExitCode, NsaError, type StageResult } from "@nsa/core";
import type { Job } from "./messages.ts";
import { type ChildOptions, runInChild } from "./run-in-child.ts";
import { withPlace } from "./run-ranks.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface Launch {
  rank: number;
  world: number;
  /** Folder in which the ranks find each other's pipes. */
  rendezvous: string;
  /** The folder is of this launch alone, and is removed at its end. */
  temporary: boolean;
}

/** Variables of the programs that start ranks: the rank, the number of ranks, those of this machine, and what names the launch. */
const LAUNCHERS = [
  {
    rank: "RANK",
    world: "WORLD_SIZE",
    local: "LOCAL_WORLD_SIZE",
    names: ["MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"],
  },
  {
    // Set by srun alone: in a batch script there are tasks to be started, and the script is none of them.
    rank: "SLURM_PROCID",
    world: "SLURM_STEP_NUM_TASKS",
    machines: "SLURM_STEP_NUM_NODES",
    names: ["SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"],
  },
  {
    rank: "OMPI_COMM_WORLD_RANK",
    world: "OMPI_COMM_WORLD_SIZE",
    local: "OMPI_COMM_WORLD_LOCAL_SIZE",
    names: ["PMIX_NAMESPACE"],
  },
] as const;

function refuse(why: string, fix: string, exitCode: ExitCode): NsaError {
  return new NsaError({
    code: "launch_unusable",
    what: "ranks that a launcher has started",
    why,
    fix,
    exitCode,
  });
}

/**
 * The place that the environment gives this process; undefined where it was started alone. Throws NsaError `launch_unusable`: exit 2 for
 * variables that make no sense, exit 4 for ranks on several machines.
 */
export function launchOf(env: Environment): Launch | undefined {
  const given = env.NSA_RENDEZVOUS;
  for (const launcher of LAUNCHERS) {
    const { rank: r, world: w, names } = launcher;
    const id = names.map((name) => env[name] ?? "").join("|");
    if (env[r] === undefined || env[w] === undefined) continue;
    if (given === undefined && id.replaceAll("|", "") === "") continue;
    const [rank, world] = [Number(env[r]), Number(env[w])];
    if (!(Number.isInteger(rank) && Number.isInteger(world) && rank >= 0 && rank < world))
      throw refuse(
        `${r} is ${env[r]} and ${w} is ${env[w]}`,
        `start the ranks by torchrun, srun or mpirun, or unset ${r}`,
        ExitCode.usage,
      );
    if (world === 1) return undefined;
    const local = "local" in launcher ? env[launcher.local] : undefined;
    const machines = "machines" in launcher ? env[launcher.machines] : undefined;
    if (
      (local !== undefined && Number(local) < world) ||
      Number(machines ?? 1) > 1 ||
      /:\d+$/.test(given ?? "")
    )
      throw refuse(
        "they run on several machines, or NSA_RENDEZVOUS is a network address; ranks of a run share one machine so far",
        "start them on one machine; NSA_RENDEZVOUS names a folder there",
        ExitCode.unavailable,
      );
    const name = createHash("sha256").update(id).digest("hex").slice(0, 16);
    const rendezvous = given
      ? resolve(given)
      : join(tmpdir(), `nsa-ranks-${process.getuid?.() ?? 0}-${name}`);
    return { rank, world, rendezvous, temporary: given === undefined };
  }
  return undefined;
}

/** A rank with the pipes of its launch. */
export interface Launched extends Launch {
  /** Folder of the pipes. */
  folder: string;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Throws NsaError `ranks_unavailable` (exit 4) where another user could have made the folder, or can write in it: its pipes carry the run. */
function refuseForeign(folder: string): void {
  const { uid, mode } = statSync(folder);
  const own = process.getuid?.() ?? uid;
  if (uid === own && (mode & 0o002) === 0) return;
  throw new NsaError({
    code: "ranks_unavailable",
    what: `the rendezvous ${folder}`,
    why: uid === own ? "every user may write in it" : `it belongs to another user (${uid})`,
    fix: "name a folder of your own by NSA_RENDEZVOUS (chmod o-w)",
    exitCode: ExitCode.unavailable,
  });
}

/** What `read` finds, once it is there. Throws NsaError `rank_hung` (exit 1) where rank 0 does not bring it in time. */
async function awaited(read: () => string | undefined): Promise<string> {
  const { rankHung, rankLimitMs } = await import("@nsa/kernels");
  const POLL_MS = 20;
  for (let waited = 0; ; waited += POLL_MS) {
    const found = read();
    if (found !== undefined) return found;
    if (waited > rankLimitMs()) throw rankHung(0, "its start");
    await setTimeout(POLL_MS);
  }
}

/** Makes the pipes of a launch (rank 0) or waits for them. Throws NsaError `rank_hung` (exit 1) where rank 0 does not make them in time. */
export async function joinLaunch(launch: Launch): Promise<Launched> {
  const { rank, world, rendezvous } = launch;
  const current = join(rendezvous, "current");
  mkdirSync(rendezvous, { recursive: true, mode: 0o700 });
  refuseForeign(rendezvous);
  if (rank === 0) {
    const { makeRankPipes } = await import("@nsa/kernels");
    const folder = mkdtempSync(join(rendezvous, "launch-"));
    makeRankPipes(folder, world);
    atomicWriteFile(current, JSON.stringify({ folder, pid: process.pid }));
    return { ...launch, folder };
  }
  const folder = await awaited(() => {
    if (!existsSync(current)) return undefined;
    const { folder, pid } = JSON.parse(readFileSync(current, "utf8")) as { folder: string; pid: number };
    return isRunning(pid) ? folder : undefined;
  });
  return { ...launch, folder };
}

/** Removes the files of a launch. Pipes of ranks that still run stay open without their names. */
function endLaunch({ rendezvous, temporary, folder }: Launched): void {
  rmSync(folder, { recursive: true, force: true });
  rmSync(join(rendezvous, "current"), { force: true });
  if (!temporary) return;
  try {
    rmdirSync(rendezvous);
  } catch {
    // The next launch of the name has its files there already.
  }
}

/** The run of all ranks, which rank 0 opens. Throws what `open` throws, and on the other ranks `rank_lost` (exit 1) then. */
export async function runOfRanks(launched: Launched, open: () => string): Promise<string> {
  const { rank, folder } = launched;
  const note = join(folder, "run");
  if (rank === 0) {
    try {
      const runDir = resolve(open());
      atomicWriteFile(note, runDir);
      return runDir;
    } catch (error) {
      endLaunch(launched);
      throw error;
    }
  }
  return awaited(() => {
    if (existsSync(note)) return readFileSync(note, "utf8");
    if (existsSync(folder)) return undefined;
    throw new NsaError({
      code: "rank_lost",
      what: "rank 0 is gone",
      why: "it ended before it had opened the run",
      fix: "see the error of rank 0",
      exitCode: ExitCode.bug,
    });
  });
}

/** This rank's part of the job. Throws what the stage throws, and `rank_lost`, `rank_hung` with the last step and checkpoint. */
export async function runLaunched(job: Job, launched: Launched, options: ChildOptions): Promise<StageResult> {
  const { rank, world, folder } = launched;
  let step = 0;
  try {
    return await runInChild(
      { ...job, ranks: { rank, world, folder, runDir: job.runDir } },
      {
        ...options,
        onEvent: (event) => {
          if (event.type === "start" || event.type === "step") step = event.step;
          options.onEvent(event);
        },
      },
    );
  } catch (error) {
    throw withPlace(error as Error, step, job.runDir);
  } finally {
    if (rank === 0) endLaunch(launched);
  }
}
