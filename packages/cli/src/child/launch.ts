// A rank that torchrun, srun or mpirun has started: which one it is, where the ranks meet, and the run that rank 0 has opened for all.
//
// Ranks of one machine meet in a folder: that of NSA_RENDEZVOUS, else one named after the launch. Rank 0 makes a new folder
// in it with the pipes and names it in `current`; a name whose process has ended was left by an earlier launch and is passed over.
// Ranks of several machines meet at a TCP address (relay.ts), and share the folder of runs.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { atomicWriteFile, ExitCode, NsaError, type StageResult } from "@nsa/core";
import type { Job } from "./messages.ts";
import { type Address, Relay } from "./relay.ts";
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
  /** Number of this rank on its machine: the GPU it takes. */
  local?: number;
  /** Where ranks of several machines meet, and the name of their launch. */
  network?: { address: Address; launch: string };
}

/** Variables of the programs that start ranks: the rank, the number of ranks, those of this machine, and what names the launch. */
const LAUNCHERS = [
  {
    rank: "RANK",
    world: "WORLD_SIZE",
    local: "LOCAL_WORLD_SIZE",
    own: "LOCAL_RANK",
    names: ["MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"],
  },
  {
    // Set by srun alone: in a batch script there are tasks to be started, and the script is none of them.
    rank: "SLURM_PROCID",
    world: "SLURM_STEP_NUM_TASKS",
    machines: "SLURM_STEP_NUM_NODES",
    own: "SLURM_LOCALID",
    names: ["SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"],
  },
  {
    rank: "OMPI_COMM_WORLD_RANK",
    world: "OMPI_COMM_WORLD_SIZE",
    local: "OMPI_COMM_WORLD_LOCAL_SIZE",
    own: "OMPI_COMM_WORLD_LOCAL_RANK",
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

/** The first machine of a list of Slurm's: node01 of `node[01-04,7],gpu3`. Rank 0 runs on it. */
function firstHost(list: string): string {
  const first = /^(?:[^,[]|\[[^\]]*\])*/.exec(list)![0];
  return first.replace(/\[(\w*)[^\]]*\]/g, "$1");
}

/** The machine of rank 0 as srun gives it to a step; without the step's list the machine on which srun was called, which may be another one. */
function slurmHost(env: Environment): Pick<Address, "host" | "source"> {
  const { SLURM_STEP_NODELIST: list = "", SLURM_LAUNCH_NODE_IPADDR: caller = "" } = env;
  const host = firstHost(list);
  if (host !== "") return { host, source: `SLURM_STEP_NODELIST, ${list}` };
  return { host: caller, source: "SLURM_LAUNCH_NODE_IPADDR, the machine on which srun was called" };
}

/** The address that NSA_RENDEZVOUS, the launcher or Slurm's job gives to ranks of several machines. Throws `launch_unusable` (exit 2). */
function addressOf(env: Environment): Address {
  const given = env.NSA_RENDEZVOUS;
  const written = given === undefined ? undefined : /^(?:tcp:\/\/)?([^/]+):(\d+)$/.exec(given);
  const { MASTER_ADDR: master, MASTER_PORT: masterPort, SLURM_JOB_ID: job } = env;
  // torchrun's agent listens at MASTER_PORT itself.
  const port = masterPort === undefined ? 20_000 + (Number(job) % 20_000) : Number(masterPort) + 1;
  const found = master === undefined ? slurmHost(env) : { host: master };
  const address: Address = written
    ? { host: written[1]!.replace(/^\[|\]$/g, ""), port: Number(written[2]) }
    : { ...(given === undefined ? found : { host: "" }), port };
  if (address.host !== "" && Number.isInteger(address.port) && address.port > 0 && address.port < 65536)
    return address;
  throw refuse(
    given === undefined
      ? "they run on several machines, and neither MASTER_ADDR and MASTER_PORT nor NSA_RENDEZVOUS names where they meet"
      : `they run on several machines, and NSA_RENDEZVOUS=${given} is no address`,
    "set NSA_RENDEZVOUS=tcp://host:port on all ranks, the host being the machine of rank 0",
    ExitCode.usage,
  );
}

/**
 * The place that the environment gives this process; undefined where it was started alone. Throws NsaError `launch_unusable` (exit 2) for
 * variables that make no sense.
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
    const several = (local !== undefined && Number(local) < world) || Number(machines ?? 1) > 1;
    const own = { ...(env[launcher.own] === undefined ? {} : { local: Number(env[launcher.own]) }) };
    if (several || /:\d+$/.test(given ?? "")) {
      const address = addressOf(env);
      const launch = `${id} of ${world}`;
      return { rank, world, ...own, rendezvous: tmpdir(), temporary: false, network: { address, launch } };
    }
    const name = createHash("sha256").update(id).digest("hex").slice(0, 16);
    const rendezvous = given
      ? resolve(given)
      : join(tmpdir(), `nsa-ranks-${process.getuid?.() ?? 0}-${name}`);
    return { rank, world, ...own, rendezvous, temporary: given === undefined };
  }
  return undefined;
}

/** A rank with the pipes of its launch. */
export interface Launched extends Launch {
  /** Folder of the pipes. */
  folder: string;
  relay?: Relay;
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

/** Makes this rank's pipes and has them relayed. Throws as {@link Relay.open}. */
async function joinNetwork(launch: Launch, network: NonNullable<Launch["network"]>): Promise<Launched> {
  const { makeRankPipes, rankLimitMs } = await import("@nsa/kernels");
  const folder = mkdtempSync(join(launch.rendezvous, "nsa-ranks-"));
  try {
    makeRankPipes(folder, launch.world);
    const { rank, world } = launch;
    const relay = await Relay.open({ rank, world, folder, ...network }, rankLimitMs());
    return { ...launch, folder, relay };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Makes the pipes of a launch (rank 0) or waits for them. Throws NsaError `rank_hung` (exit 1) where rank 0 does not make them in time. */
export async function joinLaunch(launch: Launch): Promise<Launched> {
  const { rank, world, rendezvous, network } = launch;
  if (network) return joinNetwork(launch, network);
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
async function endLaunch({ rendezvous, temporary, folder, relay }: Launched, limitMs = 0): Promise<void> {
  await relay?.close(limitMs);
  rmSync(folder, { recursive: true, force: true });
  if (relay) return;
  rmSync(join(rendezvous, "current"), { force: true });
  if (!temporary) return;
  try {
    rmdirSync(rendezvous);
  } catch {
    // The next launch of the name has its files there already.
  }
}

/** The folder of the run, which this machine must have as well. Throws NsaError `launch_unusable` (exit 4). */
function shared(runDir: string): string {
  if (existsSync(runDir)) return runDir;
  throw refuse(
    `rank 0 has opened the run ${runDir}, which this machine does not have`,
    "put --runs on a file system that all machines share, at the same path",
    ExitCode.unavailable,
  );
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
      await endLaunch(launched);
      throw error;
    }
  }
  return awaited(() => {
    if (existsSync(note)) return shared(readFileSync(note, "utf8"));
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
  const { rank, world, folder, local, relay } = launched;
  const place = { rank, world, folder, runDir: job.runDir, ...(local === undefined ? {} : { local }) };
  let [step, done] = [0, false];
  try {
    const result = await runInChild(
      { ...job, ranks: place },
      {
        ...options,
        onEvent: (event) => {
          if (event.type === "start" || event.type === "step") step = event.step;
          options.onEvent(event);
        },
      },
    );
    done = true;
    return result;
  } catch (error) {
    throw withPlace(error as Error, step, job.runDir);
  } finally {
    if (rank === 0 || relay) await endLaunch(launched, done ? 10_000 : 1000);
  }
}
