// The number of threads of the CPU backend: what its process may use, not what the machine has.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const program = join(import.meta.dirname, "../../../build/native/cores_test");
const folder = mkdtempSync(join(tmpdir(), "nsa-cores-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The quota of a process in `path`, where folders of control groups limit CPUs by these texts. */
function quota(path: string, limits: Record<string, string>): number {
  const root = mkdtempSync(join(folder, "root-"));
  for (const [group, text] of Object.entries(limits)) {
    mkdirSync(join(root, group), { recursive: true });
    writeFileSync(join(root, group, "cpu.max"), text);
  }
  const groups = join(root, "cgroup");
  writeFileSync(groups, `5:cpuset:/elsewhere\n0::${path}\n`);
  return Number(spawnSync(program, [groups, root], { encoding: "utf8" }).stdout);
}

test("the_least_quota_of_a_control_group_and_those_above_it_counts", ({ skip }) => {
  skip(!existsSync(program), "build/native/cores_test is not built");
  expect(quota("/", { ".": "250000 100000\n" })).toBe(2.5);
  expect(quota("/", {})).toBe(0);
  expect(quota("/job/step", { "job/step": "max 100000\n" })).toBe(0);
  expect(quota("/job/step", { job: "700000 100000\n", "job/step": "max 100000\n" })).toBe(7);
  expect(quota("/job/step", { job: "100000 50000\n", "job/step": "600000 200000\n" })).toBe(2);
  expect(quota("/job", { ".": "50000 100000\n", job: "400000 100000\n", other: "1000 100000\n" })).toBe(0.5);
  expect(quota("/job", { job: "no numbers\n" })).toBe(0);
});

const threads = `
const { Device } = await import(${JSON.stringify(join(import.meta.dirname, "../src/index.ts"))});
const device = Device.open("cpu");
console.log(device.info.threads);
device.close();`;

test("a_process_bound_to_one_core_has_one_thread", ({ skip }) => {
  const allowed = /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]!;
  const words = [process.execPath, "--conditions=nsa-source", "--import", "tsx", "--input-type=module", "-e"];
  const run = spawnSync("taskset", ["-c", allowed, ...words, threads], { encoding: "utf8" });
  skip(run.error !== undefined, "taskset is not on this machine");
  expect(run.stdout, run.stderr).toBe("1\n");
});
