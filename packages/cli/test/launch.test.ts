// Ranks that a launcher starts: which variables make a rank, where they find each other, and that they learn what the ranks of one command learn.
import { spawn } from "node:child_process";
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
import { joinLaunch, launchOf, runOfRanks } from "../src/child/launch.ts";
import { buildOnce, bundle, nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-launch-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const recipe = join(root, "tiny.yaml");
writeFileSync(recipe, tinyPretrain);

test("torchrun_srun_and_mpirun_name_a_rank_and_a_batch_script_does_not", () => {
  const torchrun = { RANK: "1", WORLD_SIZE: "4", LOCAL_WORLD_SIZE: "4", MASTER_ADDR: "a", MASTER_PORT: "7" };
  expect(launchOf(torchrun)).toMatchObject({ rank: 1, world: 4 });
  // All ranks of a launch use one folder, those of another launch another one.
  const { rendezvous } = launchOf(torchrun)!;
  expect(launchOf({ ...torchrun, RANK: "3" })!.rendezvous).toBe(rendezvous);
  expect(launchOf({ ...torchrun, MASTER_PORT: "8" })!.rendezvous).not.toBe(rendezvous);
  expect(launchOf({ ...torchrun, NSA_RENDEZVOUS: "/meet" })!.rendezvous).toBe("/meet");
  const batch = { SLURM_JOB_ID: "5", SLURM_PROCID: "0", SLURM_NTASKS: "2" };
  expect(launchOf(batch)).toBeUndefined();
  const srun = { ...batch, SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "2", SLURM_STEP_NUM_NODES: "1" };
  expect(launchOf(srun)).toMatchObject({ rank: 0, world: 2 });
  const mpirun = { OMPI_COMM_WORLD_RANK: "2", OMPI_COMM_WORLD_SIZE: "3", PMIX_NAMESPACE: "j1" };
  expect(launchOf(mpirun)).toMatchObject({ rank: 2, world: 3 });
  expect(launchOf({ RANK: "0", WORLD_SIZE: "1", MASTER_ADDR: "a" })).toBeUndefined();
  // Variables of these names that no launcher has set.
  expect(launchOf({ RANK: "0", WORLD_SIZE: "2" })).toBeUndefined();
});

test("ranks_on_several_machines_and_places_that_make_no_sense_are_refused", () => {
  const code = (env: Record<string, string>) => {
    try {
      launchOf(env);
    } catch (error) {
      const { code, exitCode } = error as { code: string; exitCode: number };
      return [code, exitCode];
    }
    return undefined;
  };
  const torchrun = { RANK: "1", WORLD_SIZE: "4", LOCAL_WORLD_SIZE: "2", MASTER_ADDR: "a" };
  expect(code(torchrun)).toEqual(["launch_unusable", 4]);
  expect(code({ RANK: "0", WORLD_SIZE: "2", NSA_RENDEZVOUS: "host:29500" })).toEqual(["launch_unusable", 4]);
  const srun = { SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "2", SLURM_STEP_NUM_NODES: "2", SLURM_JOB_ID: "1" };
  expect(code(srun)).toEqual(["launch_unusable", 4]);
  expect(code({ ...torchrun, RANK: "4" })).toEqual(["launch_unusable", 2]);
  expect(code({ ...torchrun, RANK: "first" })).toEqual(["launch_unusable", 2]);
});

test("a_rendezvous_that_every_user_may_write_in_is_refused", async () => {
  const rendezvous = join(root, "open-to-all");
  mkdirSync(rendezvous);
  chmodSync(rendezvous, 0o777);
  await expect(joinLaunch({ rank: 0, world: 2, rendezvous, temporary: true })).rejects.toMatchObject({
    code: "ranks_unavailable",
    why: "every user may write in it",
    exitCode: 4,
  });
  expect(readdirSync(rendezvous)).toEqual([]);
});

test("a_run_that_rank_0_cannot_open_ends_the_others_at_once_and_leaves_no_files", async () => {
  const rendezvous = join(root, "unopened");
  const launch = { world: 2, rendezvous, temporary: true };
  const first = await joinLaunch({ ...launch, rank: 0 });
  const second = await joinLaunch({ ...launch, rank: 1 });
  const waiting = runOfRanks(second, () => "never");
  const refuse = () => {
    throw new Error("the disk is full");
  };
  await expect(runOfRanks(first, refuse)).rejects.toThrow("the disk is full");
  await expect(waiting).rejects.toMatchObject({ code: "rank_lost", what: "rank 0 is gone" });
  expect(existsSync(rendezvous)).toBe(false);
});

function rank(r: number, more: string[]): Promise<{ code: number | null; errors: string }> {
  const args = ["pretrain", recipe, "--runs", join(root, "launched"), "--device", "cpu", "--plain"];
  const env = { ...process.env, NSA_RENDEZVOUS: join(root, "rendezvous"), RANK: `${r}`, WORLD_SIZE: "2" };
  const settings = ["--set", "train.micro_batches=2", ...more];
  const child = spawn(process.execPath, [bundle, ...args, ...settings], { env });
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  child.stdout.resume();
  return new Promise((done) => child.on("close", (code) => done({ code, errors })));
}

const weights = (runs: string) => {
  const run = join(root, runs, readdirSync(join(root, runs))[0]!);
  return readFileSync(join(run, "checkpoints/step-000003/model.safetensors")).toString("base64");
};

test("two_started_ranks_learn_what_two_of_one_command_learn_and_others_are_refused", async () => {
  buildOnce();
  const both = await Promise.all([rank(0, []), rank(1, [])]);
  expect(
    both.map(({ code }) => code),
    both[0]!.errors + both[1]!.errors,
  ).toEqual([0, 0]);
  expect(readdirSync(join(root, "launched"))).toHaveLength(1);
  const own = ["--runs", join(root, "own"), "--device", "cpu", "--set", "train.micro_batches=2"];
  expect(nsa(["pretrain", recipe, ...own, "--ranks", "2"]).status).toBe(0);
  expect(weights("launched")).toBe(weights("own"));
  expect(readdirSync(join(root, "rendezvous"))).toEqual([]);

  const differ = await Promise.all([rank(0, []), rank(1, ["--set", "seed=9"])]);
  for (const { code, errors } of differ) {
    expect(code).toBe(2);
    expect(errors).toContain("rank 1 has another recipe than rank 0");
  }
}, 100_000);
