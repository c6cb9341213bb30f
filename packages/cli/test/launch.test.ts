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
import { type AddressInfo, createServer } from "node:net";
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

test("ranks_of_several_machines_meet_at_an_address", () => {
  const torchrun = { RANK: "3", WORLD_SIZE: "4", LOCAL_WORLD_SIZE: "2", LOCAL_RANK: "1" };
  const at = (env: Record<string, string>) => launchOf(env)!.network!.address;
  const master = { ...torchrun, MASTER_ADDR: "node7", MASTER_PORT: "29500" };
  expect(launchOf(master)).toMatchObject({ rank: 3, world: 4, local: 1 });
  expect(at(master)).toEqual({ host: "node7", port: 29501 });
  expect(at({ ...master, NSA_RENDEZVOUS: "tcp://10.0.0.2:4000" })).toEqual({ host: "10.0.0.2", port: 4000 });
  expect(at({ ...master, NSA_RENDEZVOUS: "tcp://[fe80::1]:4000" })).toEqual({ host: "fe80::1", port: 4000 });
  const srun = {
    SLURM_PROCID: "2",
    SLURM_STEP_NUM_TASKS: "4",
    SLURM_STEP_NUM_NODES: "2",
    SLURM_LOCALID: "0",
  };
  const job = { ...srun, SLURM_JOB_ID: "123456", SLURM_LAUNCH_NODE_IPADDR: "10.1.1.1" };
  expect(at(job)).toMatchObject({
    host: "10.1.1.1",
    port: 20_000 + 3456,
    source: expect.stringContaining("SLURM_LAUNCH_NODE_IPADDR"),
  });
  // srun was called on another machine than those of the step.
  const hostOf = (list: string) => at({ ...job, SLURM_STEP_NODELIST: list }).host;
  expect(hostOf("node[01-04,7]")).toBe("node01");
  expect(hostOf("gpu3,node[01-04]")).toBe("gpu3");
  expect(hostOf("node[7,01-04],gpu3")).toBe("node7");
  expect(hostOf("rack[2-3]n[05,09-11]")).toBe("rack2n05");
  expect(hostOf("tux[10-12]-ib.example.org,a")).toBe("tux10-ib.example.org");
  expect(at({ ...job, SLURM_STEP_NODELIST: "n[1-2]" }).source).toBe("SLURM_STEP_NODELIST, n[1-2]");
  expect(at({ ...job, SLURM_STEP_NODELIST: "n[1-2]", MASTER_ADDR: "m" }).host).toBe("m");
  // One machine, and an address all the same.
  expect(at({ RANK: "0", WORLD_SIZE: "2", NSA_RENDEZVOUS: "host:29500" })).toEqual({
    host: "host",
    port: 29500,
  });
});

test("places_that_make_no_sense_are_refused", () => {
  const code = (env: Record<string, string>) => {
    try {
      launchOf(env);
    } catch (error) {
      const { code, exitCode } = error as { code: string; exitCode: number };
      return [code, exitCode];
    }
    return undefined;
  };
  const torchrun = { RANK: "1", WORLD_SIZE: "4", LOCAL_WORLD_SIZE: "2", MASTER_ADDR: "a", MASTER_PORT: "x" };
  expect(code(torchrun)).toEqual(["launch_unusable", 2]);
  expect(code({ ...torchrun, NSA_RENDEZVOUS: "/folder" })).toEqual(["launch_unusable", 2]);
  const srun = { SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "2", SLURM_STEP_NUM_NODES: "2", SLURM_JOB_ID: "1" };
  expect(code(srun)).toEqual(["launch_unusable", 2]);
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

function rank(
  r: number,
  more: string[],
  { runs = "launched", at = join(root, "rendezvous") } = {},
): Promise<{ code: number | null; errors: string }> {
  const args = ["pretrain", recipe, "--runs", join(root, runs), "--device", "cpu", "--plain"];
  const env = { ...process.env, NSA_RENDEZVOUS: at, RANK: `${r}`, WORLD_SIZE: "2" };
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

  // The same by a network, as ranks of two machines would.
  const network = { runs: "network", at: `tcp://127.0.0.1:${await freePort()}` };
  const far = await Promise.all([rank(0, [], network), rank(1, [], network)]);
  expect(
    far.map(({ code }) => code),
    far[0]!.errors + far[1]!.errors,
  ).toEqual([0, 0]);
  expect(weights("network")).toBe(weights("own"));

  const differ = await Promise.all([rank(0, []), rank(1, ["--set", "seed=9"])]);
  for (const { code, errors } of differ) {
    expect(code).toBe(2);
    expect(errors).toContain("rank 1 has another recipe than rank 0");
  }
}, 100_000);

/** A port that nobody has. */
function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

test("a_port_that_is_taken_and_an_address_where_nobody_is_are_named", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const { port } = server.address() as AddressInfo;
  const launch = (rank: number, port: number) =>
    joinLaunch(launchOf({ RANK: `${rank}`, WORLD_SIZE: "2", NSA_RENDEZVOUS: `tcp://127.0.0.1:${port}` })!);
  process.env.NSA_RANK_LIMIT_SECONDS = "0.5";
  try {
    await expect(launch(0, port)).rejects.toMatchObject({
      code: "rendezvous_taken",
      why: `another program has port ${port} of this machine`,
      fix: expect.stringContaining("NSA_RENDEZVOUS=tcp://"),
      exitCode: 4,
    });
    server.close();
    await expect(launch(1, await freePort())).rejects.toMatchObject({
      code: "rendezvous_unreachable",
      why: expect.stringContaining("ECONNREFUSED"),
      exitCode: 4,
    });
  } finally {
    delete process.env.NSA_RANK_LIMIT_SECONDS;
    server.close();
  }
});

test("a_rank_of_another_launch_is_not_let_in_and_files_of_ranks_pass_the_network", async () => {
  const port = await freePort();
  const env = { WORLD_SIZE: "2", NSA_RENDEZVOUS: `tcp://127.0.0.1:${port}`, MASTER_ADDR: "a" };
  process.env.NSA_RANK_LIMIT_SECONDS = "0.5";
  const first = await joinLaunch(launchOf({ ...env, RANK: "0" })!);
  try {
    await expect(joinLaunch(launchOf({ ...env, MASTER_ADDR: "b", RANK: "1" })!)).rejects.toMatchObject({
      code: "rendezvous_unreachable",
      why: "the program there is not rank 0 of this launch",
    });
    const second = await joinLaunch(launchOf({ ...env, RANK: "1" })!);
    // The run that rank 0 opens is known to the other, and signs of life pass as files.
    const opened = runOfRanks(second, () => "never");
    expect(await runOfRanks(first, () => root)).toBe(root);
    expect(await opened).toBe(root);
    writeFileSync(join(second.folder, "1.joined"), String(process.pid));
    writeFileSync(join(second.folder, "1.alive"), "");
    await expect
      .poll(() => readdirSync(first.folder))
      .toEqual(expect.arrayContaining(["1.joined", "1.alive"]));
    await second.relay!.close(1000);
    rmSync(second.folder, { recursive: true });
  } finally {
    await first.relay!.close(1000);
    rmSync(first.folder, { recursive: true });
    delete process.env.NSA_RANK_LIMIT_SECONDS;
  }
});
