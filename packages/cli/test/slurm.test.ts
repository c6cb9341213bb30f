// `nsa slurm submit` against a stand-in for Slurm that records its arguments: the job's flags and script, a preempted job, attempts, refusals.
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { jobScript } from "../src/commands/slurm.ts";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-slurm-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const recipe = join(root, "tiny.yaml");
writeFileSync(recipe, tinyPretrain);

/** Commands that append their words to <name>.words, a word a line, and print a job's number. */
function standIn(name: string, body: string): void {
  mkdirSync(join(root, "bin"), { recursive: true });
  const path = join(root, "bin", name);
  writeFileSync(path, `#!/bin/sh\nprintf '%s\\n' "$@" >> '${join(root, `${name}.words`)}'\n${body}\n`);
  chmodSync(path, 0o755);
}
standIn("sbatch", "echo 17");
standIn("scontrol", "");
const env = { PATH: `${join(root, "bin")}:${process.env.PATH}` };
const words = (name: string) =>
  readFileSync(join(root, `${name}.words`), "utf8")
    .trim()
    .split("\n");

const steps = ["--set", "train.steps=120", "--set", "train.micro_batches=2", "--set", "train.save_every=40"];
const submit = (runs: string, ...more: string[]) =>
  nsa(["slurm", "submit", "pretrain", recipe, "--runs", join(root, runs), ...steps, ...more], { env });

/** One attempt of a job; `stop` sees each change of the time and gives true once for the signal that Slurm then sends. */
async function attempt(script: string, stop?: () => boolean): Promise<number | null> {
  const job = spawn("/bin/sh", [script], {
    env: { ...process.env, ...env, SLURM_JOB_ID: "17" },
    stdio: "ignore",
  });
  const timer = setInterval(() => {
    if (!stop?.()) return;
    clearInterval(timer);
    job.kill("SIGUSR1");
  }, 10);
  const code = await new Promise<number | null>((done) => job.on("close", done));
  clearInterval(timer);
  return code;
}

test("a_job_is_submitted_saves_when_slurm_wants_its_place_goes_back_to_the_queue_and_ends_as_one_left_alone", async () => {
  const { status, stdout, stderr } = submit(
    "runs",
    "--ranks",
    "2",
    "--flag=--partition=long",
    "--flag=--mem=2G",
  );
  expect(status, stderr).toBe(0);
  const run = join(root, "runs", readdirSync(join(root, "runs"))[0]!);
  expect(stdout).toBe(`job 17\t${run}\n`);
  const script = join(run, "slurm/job.sh");
  const given = words("sbatch");
  expect(given).toEqual(
    expect.arrayContaining(["--parsable", "--requeue", "--signal=B:USR1@120", "--nodes=1"]),
  );
  expect(given.slice(-3)).toEqual(["--partition=long", "--mem=2G", script]);
  expect(readFileSync(join(run, "recipe-tiny.yaml"), "utf8")).toBe(tinyPretrain);
  // The recipe may change while the job waits.
  writeFileSync(recipe, "name: another");

  const metrics = join(run, "metrics.jsonl");
  expect(
    await attempt(script, () => existsSync(metrics) && readFileSync(metrics, "utf8").includes("\n")),
  ).toBe(130);
  expect(words("scontrol")).toEqual(["requeue", "17"]);
  const [saved] = readdirSync(join(run, "checkpoints"));
  expect(Number(saved!.slice(5))).toBeLessThan(120);
  expect(await attempt(script)).toBe(0);
  expect(words("scontrol")).toHaveLength(2);
  for (const n of [1, 2])
    expect(readFileSync(join(run, `slurm/attempt-${n}/log.txt`), "utf8")).toContain(`attempt ${n}: job 17`);

  writeFileSync(recipe, tinyPretrain);
  const alone = nsa([
    "pretrain",
    recipe,
    "--runs",
    join(root, "alone"),
    "--device",
    "cpu",
    ...steps,
    "--ranks",
    "2",
  ]);
  expect(alone.status).toBe(0);
  const weights = (folder: string) =>
    readFileSync(join(folder, "checkpoints/step-000120/model.safetensors")).toString("base64");
  expect(weights(run)).toBe(weights(join(root, "alone", readdirSync(join(root, "alone"))[0]!)));
}, 120_000);

test("auto_counts_the_gpus_of_the_job_and_not_those_of_the_machine_that_submits", () => {
  const two = { ...env, CUDA_VISIBLE_DEVICES: "0,1" };
  const place = ["slurm", "submit", "pretrain", recipe, "--runs", join(root, "auto")];
  const { status, stderr } = nsa([...place, "--gpus", "1", "--ranks", "auto"], { env: two });
  expect(status, stderr).toBe(0);
  const script = join(root, "auto", readdirSync(join(root, "auto"))[0]!, "slurm/job.sh");
  expect(readFileSync(script, "utf8")).toMatch(/'?--ranks'? '?auto'?/);
}, 60_000);

test("a_job_whose_folder_takes_no_files_ends", () => {
  const run = join(root, "full");
  mkdirSync(join(run, "slurm"), { recursive: true });
  const script = join(root, "full.sh");
  writeFileSync(script, jobScript({ runDir: run, command: ["true"] }));
  // In the place of a full disk.
  const none = join(root, "none");
  mkdirSync(none);
  writeFileSync(join(none, "mkdir"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  const { status } = spawnSync("/bin/sh", [script], {
    env: { PATH: `${none}:${process.env.PATH}` },
    timeout: 20_000,
  });
  expect(status).toBe(3);
}, 60_000);

test("what_slurm_or_ranks_cannot_do_is_refused_and_leaves_no_run", () => {
  const refused = (more: string[], exit: number, words: string) => {
    const { status, stderr } = submit("refused", ...more);
    expect(stderr).toContain(words);
    expect(status).toBe(exit);
    expect(existsSync(join(root, "refused")) ? readdirSync(join(root, "refused")) : []).toEqual([]);
  };
  refused(["--nodes", "2"], 4, "ranks share one machine so far");
  refused(["--gpus", "8"], 4, "jobs of several GPUs have not been tried yet");
  refused(["--gpus", "1", "--ranks", "2"], 4, "each rank has a GPU of its own");
  refused(["--set", "train.stepz=1"], 2, "stepz");
  standIn("sbatch", "echo 'invalid partition' >&2; exit 1");
  refused([], 4, "invalid partition");
}, 60_000);
