// `nsa slurm submit`: a stage as a Slurm job. Before its time limit, or when it is preempted, it saves, is queued again and resumes.
//
// The run folder is made at once, with the recipe as it is now; the job resumes that run, so that each attempt continues from the newest
// checkpoint. Each attempt has a folder of its own, slurm/attempt-<n>.
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { atomicWriteFile, createRunDir, ExitCode, NsaError } from "@nsa/core";
import { runSlurm, shellWord } from "@nsa/data";
import { worldOf } from "../child/run-ranks.ts";
import { loadPluginsOfRecipe } from "../plugins/load.ts";
import { loadRecipe, namedRecipe } from "./stage.ts";
import { STAGE_TABLE } from "./stage-table.ts";
import { loadStage } from "./stages.ts";

export interface SubmitOptions {
  set: string[];
  runs: string;
  nodes: number;
  gpus: number;
  ranks?: string;
  /** Flags for sbatch, e.g. --partition=gpu. */
  flag: string[];
}

/** Seconds before the time limit at which Slurm signals a job to save. */
const NOTICE_SECONDS = 120;

/** Throws NsaError `slurm_unsupported` (exit 4) for what ranks cannot use yet. */
const refuse = (what: string, why: string, fix: string): never => {
  throw new NsaError({ code: "slurm_unsupported", what, why, fix, exitCode: ExitCode.unavailable });
};

function refuseTooMany({ nodes, gpus }: SubmitOptions): void {
  if (nodes > 1) refuse(`--nodes ${nodes}`, "ranks share one machine so far", "leave out --nodes");
  if (gpus > 1)
    refuse(`--gpus ${gpus}`, "jobs of several GPUs have not been tried yet", "use --gpus 1, or --gpus 0");
}

export interface JobScript {
  runDir: string;
  /** Words that run the stage. */
  command: readonly string[];
}

/** The batch script: a signal of Slurm has the stage save; a stage that was ended by one goes back to the queue. */
export function jobScript({ runDir, command }: JobScript): string {
  const words = command.map(shellWord).join(" ");
  const native = process.env.NSA_NATIVE_DIR;
  return `#!/bin/sh
run=${shellWord(runDir)}
[ -d "$run/slurm" ] || exit 3
n=1
while [ -e "$run/slurm/attempt-$n" ]; do n=$((n + 1)); done
mkdir "$run/slurm/attempt-$n" || exit 3
exec >"$run/slurm/attempt-$n/log.txt" 2>&1
echo "attempt $n: job $SLURM_JOB_ID on $(hostname)"
${native ? `export NSA_NATIVE_DIR=${shellWord(native)}\n` : ""}stopped=
child=
trap 'stopped=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' USR1 TERM
${words} &
child=$!
[ -z "$stopped" ] || kill -TERM "$child" 2>/dev/null
wait "$child"
code=$?
# A signal ends a wait before the stage has saved.
while kill -0 "$child" 2>/dev/null; do
  wait "$child"
  code=$?
done
echo "attempt $n ended with $code"
if [ -n "$stopped" ] && [ "$code" -eq ${ExitCode.interrupted} ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
`;
}

/** Flags of sbatch that a job of ours has; those of the user come behind and win. */
function flagsOf(runDir: string, { gpus, flag }: SubmitOptions): string[] {
  return [
    "--parsable",
    `--job-name=${basename(runDir)}`,
    "--nodes=1",
    "--ntasks=1",
    "--requeue",
    "--open-mode=append",
    `--signal=B:USR1@${NOTICE_SECONDS}`,
    `--output=${join(runDir, "slurm", "sbatch.log")}`,
    ...(gpus > 0 ? [`--gpus=${gpus}`] : []),
    ...flag,
  ];
}

/** The job's number; a run that no job came of is removed. */
function queue(words: readonly string[], runDir: string): string {
  try {
    return runSlurm("sbatch", words).split(";")[0]!;
  } catch (error) {
    rmSync(runDir, { recursive: true, force: true });
    throw error;
  }
}

/** Submits a stage and prints the job and its run folder. Throws NsaError `slurm_failed`, `slurm_unsupported` (exit 4) and what a recipe throws. */
export async function submitStage(
  name: string,
  file: string | undefined,
  options: SubmitOptions,
): Promise<number> {
  refuseTooMany(options);
  const { set, runs, gpus, ranks } = options;
  const device = gpus > 0 ? "cuda" : "cpu";
  // The GPUs that `auto` counts are those of the machine that the job gets, not of this one.
  if (ranks !== "auto" && worldOf({ ranks, device }) > Math.max(1, gpus) && gpus > 0)
    refuse(`--gpus ${gpus} --ranks ${ranks}`, "each rank has a GPU of its own", `use --ranks ${gpus}`);
  const recipe = namedRecipe(file, `slurm submit ${name}`);
  await loadPluginsOfRecipe(recipe, { set, runs, resumed: false });
  const stage = await loadStage(name);
  const { config, yaml } = await loadRecipe(stage, recipe, { set, runs });
  stage.estimate(config, device);
  const runDir = createRunDir({
    root: resolve(runs),
    stage: name,
    name: config.name ?? name,
    configYaml: yaml,
    files: existsSync(recipe) ? { [`recipe-${basename(recipe)}`]: readFileSync(recipe, "utf8") } : {},
  });
  mkdirSync(join(runDir, "slurm"));
  const command = [
    ...[process.execPath, ...process.execArgv, process.argv[1]!],
    ...(STAGE_TABLE[name]?.command ? [name] : ["run", name]),
    ...["--resume", runDir],
    ...["--runs", resolve(runs), "--device", device, "--plain"],
    ...(ranks === undefined ? [] : ["--ranks", ranks]),
  ];
  const script = join(runDir, "slurm", "job.sh");
  atomicWriteFile(script, jobScript({ runDir, command }));
  const job = queue([...flagsOf(runDir, options), script], runDir);
  atomicWriteFile(join(runDir, "slurm", "job"), `${job}\n`);
  console.log(`job ${job}\t${runDir}`);
  return ExitCode.ok;
}
