// Data parallelism over named pipes.
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRankPipes } from "@nsa/kernels";
import { expect, test } from "vitest";

interface Outcome {
  code: number | null;
  out: string;
  err: string;
}

function start(rank: number, world: number, folder: string, dieAt = "never"): Promise<Outcome> {
  const main = join(import.meta.dirname, "rank-main.ts");
  const flags = ["--conditions=nsa-source", "--import", import.meta.resolve("tsx")];
  const child = spawn(process.execPath, [...flags, main, `${rank}`, `${world}`, folder, dieAt]);
  const got = { out: "", err: "" };
  child.stdout.on("data", (x) => {
    got.out += x;
  });
  child.stderr.on("data", (x) => {
    got.err += x;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, ...got })));
}

async function ranks(world: number, dieAt?: string): Promise<Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), "nsa-ranks-"));
  if (world > 1) makeRankPipes(folder, world);
  return Promise.all(
    Array.from({ length: world }, (_, r) => start(r, world, folder, r === 1 ? dieAt : undefined)),
  );
}

test("two_ranks_equal_one_to_1e_6_and_each_other_bit_for_bit", async () => {
  const [[alone], [first, second]] = await Promise.all([ranks(1), ranks(2)]);
  const one = JSON.parse(alone!.out);
  const two = JSON.parse(first!.out);
  expect(JSON.parse(second!.out)).toEqual(two);
  const gap = (a: number[], b: number[]) => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));
  expect(gap(one.losses, two.losses)).toBeLessThan(1e-6);
  expect(gap(one.weights, two.weights)).toBeLessThan(1e-6);
  expect(one.losses.at(-1)).toBeLessThan(one.losses[0]);
});

test("a_killed_rank_ends_the_others_with_an_error_that_names_it", async () => {
  const [first, second] = await ranks(2, "2");
  expect(second!.code).toBeNull();
  expect(first!.code).toBe(1);
  expect(first!.err).toContain("rank 1 is gone");
});
