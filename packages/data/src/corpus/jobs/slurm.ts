// The Slurm executor: each stage becomes a job array; what failed is submitted again alone.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, NsaError } from "@nsa/core";
import { type Manifest, validManifest, writeAtomic } from "./manifest.ts";
import { taskEntry } from "./process.ts";
import type { Executor } from "./stage.ts";

export interface SlurmOptions {
  /** Flags for sbatch, e.g. `["--partition=cpu", "--mem=4G"]`. */
  flags?: string[];
  /** Array elements that may run at once; 0 leaves it to Slurm. */
  atOnce?: number;
  /** How often failed elements are submitted again. */
  retries?: number;
  pollSeconds?: number;
}

function slurmError(what: string, why: string): NsaError {
  return new NsaError({
    code: "slurm_failed",
    what,
    why,
    fix: "check `sinfo` and the logs under slurm/ in the run's folder, or use the local executor",
    exitCode: ExitCode.unavailable,
  });
}

/** Runs a command of Slurm and gives what it prints. Throws NsaError `slurm_failed` (exit 4). */
export function runSlurm(command: string, args: readonly string[]): string {
  const run = spawnSync(command, [...args], { encoding: "utf8" });
  if (run.error) throw slurmError(`cannot run ${command}`, run.error.message);
  if (run.status !== 0) throw slurmError(`${command} failed`, run.stderr.trim());
  return run.stdout.trim();
}

/** A word as a shell reads it back. */
export const shellWord = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** Folds sorted indices into Slurm's array syntax: [0, 1, 2, 5] → `0-2,5`. */
export function arrayRanges(indices: number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < indices.length; ) {
    let j = i;
    while (j + 1 < indices.length && indices[j + 1] === indices[j]! + 1) j++;
    parts.push(i === j ? `${indices[i]}` : `${indices[i]}-${indices[j]}`);
    i = j + 1;
  }
  return parts.join(",");
}

/** The batch script of a stage; `$SLURM_ARRAY_TASK_ID` picks the task. */
export function arrayScript(listPath: string): string {
  const { flags, path } = taskEntry();
  const command = [process.execPath, ...flags, path, listPath].map(shellWord).join(" ");
  const dir = process.env.NSA_NATIVE_DIR
    ? `export NSA_NATIVE_DIR=${shellWord(process.env.NSA_NATIVE_DIR)}\n`
    : "";
  return `#!/bin/sh\n${dir}exec ${command} "$SLURM_ARRAY_TASK_ID"\n`;
}

async function waitFor(job: string, pollSeconds: number): Promise<void> {
  for (;;) {
    const run = spawnSync("squeue", ["--noheader", "--format=%i", `--jobs=${job}`], { encoding: "utf8" });
    // An unknown job id means that Slurm has forgotten a finished job.
    if (run.status !== 0 || run.stdout.trim() === "") return;
    await new Promise((done) => setTimeout(done, pollSeconds * 1000));
  }
}

/** Submits each stage as an array job and waits for it; outputs are those of the local executors, byte for byte. */
export function slurmExecutor(options: SlurmOptions = {}): Executor {
  const { flags = [], atOnce = 0, retries = 2, pollSeconds = 2 } = options;
  return {
    async run(outDir, stage, work, onDone) {
      const results = new Array<Manifest | undefined>(work.length);
      const collect = () =>
        work.forEach(({ task, fingerprint }, i) => {
          if (results[i]) return;
          results[i] = validManifest(outDir, task.kind, task.name, fingerprint);
          if (results[i]) onDone(results[i]!);
        });
      if (work.length === 0) return [];
      const folder = join(outDir, "slurm", stage.replace(/[^\w.-]/g, "_"));
      mkdirSync(folder, { recursive: true });
      const list = join(folder, "tasks.json");
      writeAtomic(list, JSON.stringify({ outDir, work }));
      const script = join(folder, "array.sh");
      writeAtomic(script, arrayScript(list));
      for (let attempt = 0; attempt <= retries; attempt++) {
        const missing = work.map((_, i) => i).filter((i) => !results[i]);
        if (missing.length === 0) break;
        const limit = atOnce > 0 ? `%${atOnce}` : "";
        const job = runSlurm("sbatch", [
          "--parsable",
          `--array=${arrayRanges(missing)}${limit}`,
          `--job-name=nsa-${stage.replace(/\W+/g, "-")}`,
          `--output=${join(folder, "%a.log")}`,
          ...flags,
          script,
        ]).split(";")[0]!;
        await waitFor(job, pollSeconds);
        collect();
      }
      const failed = work.map((_, i) => i).filter((i) => !results[i]);
      if (failed.length > 0) {
        const first = failed[0]!;
        let log = "";
        try {
          log = readFileSync(join(folder, `${first}.log`), "utf8")
            .trim()
            .slice(-500);
        } catch {
          log = "it left no log";
        }
        const { kind, name } = work[first]!.task;
        throw slurmError(`${failed.length} tasks of ${stage} failed, first ${kind} ${name}`, log);
      }
      return results as Manifest[];
    },
  };
}
