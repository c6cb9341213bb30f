// `nsa pretrain --ranks 2`: the same run as with one process, exact resume, clear refusals.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { nsa, root } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-ranks-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const recipe = join(dir, "tiny.yaml");
writeFileSync(recipe, tinyPretrain);

function pretrain(runs: string, ...more: string[]) {
  const place = ["--runs", join(dir, runs), "--device", "cpu"];
  return nsa(["pretrain", recipe, ...place, "--set", "train.micro_batches=2", ...more]);
}

function runOf(runs: string): string {
  return join(dir, runs, readdirSync(join(dir, runs)).find((name) => name.startsWith("pretrain-"))!);
}

const losses = (runs: string) =>
  readFileSync(join(runOf(runs), "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line)["train/loss"])
    .filter((x) => x !== undefined) as number[];

const weights = (runs: string, step: string) =>
  readFileSync(join(runOf(runs), "checkpoints", step, "model.safetensors")).toString("base64");

test("two_ranks_train_as_one_does_and_resume_to_the_same_bits", () => {
  const steps = (n: number) => ["--set", `train.steps=${n}`];
  expect(pretrain("one", ...steps(6)).status).toBe(0);
  expect(pretrain("two", ...steps(6), "--ranks", "2").status).toBe(0);
  const [one, two] = [losses("one"), losses("two")];
  expect(two).toHaveLength(6);
  two.forEach((x, i) => {
    expect(Math.abs(x - one[i]!)).toBeLessThan(1e-6);
  });
  // Only rank 0 keeps checkpoints.
  expect(existsSync(join(runOf("two"), "ranks/1/checkpoints"))).toBe(false);

  const schedule = ["--set", "train.schedule.kind=constant"];
  expect(pretrain("whole", ...steps(6), ...schedule, "--ranks", "2").status).toBe(0);
  expect(pretrain("parts", ...steps(4), ...schedule, "--ranks", "2").status).toBe(0);
  const rest = pretrain("parts", ...steps(6), ...schedule, "--ranks", "2", "--resume", "latest");
  expect(rest.status).toBe(0);
  expect(weights("parts", "step-000006")).toBe(weights("whole", "step-000006"));
});

test("auto_is_one_rank_on_the_cpu_with_its_reason_and_a_dry_run_adds_up_the_memory_of_all", () => {
  const auto = pretrain("auto", "--set", "train.steps=1", "--ranks", "auto");
  expect(auto.status).toBe(0);
  expect(auto.stderr).toContain(
    "--ranks auto: 1; it is one for each GPU with --device cuda, and on the CPU one process uses all cores",
  );
  const figures = (...more: string[]) =>
    JSON.parse(pretrain("dry", "--dry-run", "--json", ...more).stdout) as Record<string, number>;
  const [one, three] = [figures(), figures("--ranks", "3")];
  expect(three.memory_bytes).toBe(one.memory_bytes);
  expect(three).toMatchObject({ ranks: 3, all_ranks_bytes: 3 * one.process_bytes! });
  // A third of the machine each.
  expect(three.device_memory_bytes).toBeCloseTo(one.device_memory_bytes! / 3, 0);
  expect(three.largest_model_parameters!).toBeLessThan(one.largest_model_parameters!);
  expect(pretrain("dry", "--dry-run", "--ranks", "3").stdout).toMatch(/ranks\t3, each with the memory above/);
}, 60_000);

test("ranks_of_gpus_pass_tensors_by_the_backend_and_have_the_figures_of_one", () => {
  // In the place of CUDA's a plugin of the tests, whose worlds of ranks are files.
  const native = join(dir, "native");
  mkdirSync(native);
  symlinkSync(join(root, "build/native/nsa.node"), join(native, "nsa.node"));
  symlinkSync(join(root, "build/native/tests/libnsa_fault.so"), join(native, "libnsa_cuda.so"));
  const run = (runs: string, ranks: string) => {
    const words = ["pretrain", recipe, "--device", "cuda", "--ranks", ranks, "--runs", join(dir, runs)];
    words.push("--set", "train.micro_batches=2");
    const { status, stderr } = nsa(words, { env: { NSA_NATIVE_DIR: native, CUDA_VISIBLE_DEVICES: "0,1" } });
    expect(status, stderr).toBe(0);
    return { losses: losses(runs), stderr };
  };
  const [one, two] = [run("gpu-1", "1"), run("gpu-2", "auto")];
  expect(two.stderr).toContain("--ranks auto: 2, one for each GPU");
  expect(one.losses.length).toBeGreaterThan(2);
  for (const [i, loss] of one.losses.entries()) expect(two.losses[i]).toBeCloseTo(loss, 5);

  const dry = (...more: string[]) => {
    const words = [
      "pretrain",
      recipe,
      "--device",
      "cuda",
      "--runs",
      join(dir, "gpu-dry"),
      "--dry-run",
      ...more,
    ];
    return nsa(words, { env: { NSA_NATIVE_DIR: native } }).stdout;
  };
  const figures = (ranks: string) => JSON.parse(dry("--ranks", ranks, "--json")) as Record<string, number>;
  const [alone, three] = [figures("1"), figures("3")];
  expect(alone.device_memory_bytes).toBeGreaterThan(0);
  expect(three).toMatchObject({ ranks: 3, device_memory_bytes: alone.device_memory_bytes });
  expect(three).not.toHaveProperty("all_ranks_bytes");
  expect(dry("--ranks", "3")).toContain("ranks\t3, each with the memory above on a GPU of its own\n");
}, 120_000);

test("numbers_of_ranks_that_are_none_are_refused_with_exit_2", () => {
  expect(pretrain("none", "--ranks", "0").status).toBe(2);
  expect(pretrain("word", "--ranks", "many").status).toBe(2);
  const crowd = pretrain("crowd", "--ranks", "1000000");
  expect(crowd.status).toBe(2);
  expect(crowd.stderr).toContain("give a whole number from 1 to 1024, or auto");
});
