// Collectives by a backend's own worlds of ranks, by hand-computed values: on two GPUs where NSA_TEST_DEVICE is cuda, else by a plugin
// whose worlds are files.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { Device, makeRankPipes, openDeviceCollectives } from "../src/index.ts";
import { outcomes, ramp, run } from "./collectives-run.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-worlds-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const real = process.env.NSA_TEST_DEVICE === "cuda";
const built = join(import.meta.dirname, "../../../build/native");

/** Where the ranks find their backend. */
function pluginEnv(plugin: string): Record<string, string> {
  const dir = mkdtempSync(join(root, "world-"));
  symlinkSync(join(built, "nsa.node"), join(dir, "nsa.node"));
  symlinkSync(join(built, plugin), join(dir, "libnsa_cuda.so"));
  return { NSA_RANKS_DEVICE: "cuda", NSA_NATIVE_DIR: dir };
}
const env = real ? { NSA_RANKS_DEVICE: "cuda" } : pluginEnv("tests/libnsa_fault.so");

function gpus(): number {
  const listed = spawnSync("nvidia-smi", ["-L"], { encoding: "utf8" });
  return listed.status === 0 ? listed.stdout.trim().split("\n").length : 0;
}
const able = needs(real ? gpus() > 1 : existsSync(join(built, "tests/libnsa_fault.so")), "two GPUs");

able(
  "every_operation_by_hand_with_equal_and_unequal_parts",
  async () => {
    for (const world of real ? [2] : [2, 3]) {
      const [odd, even] = [ramp(world), ramp(world, 2 * world)];
      // Σ_r (10·r + i + 1) = 5·world·(world − 1) + world·(i + 1).
      const sum = (length: number) =>
        Array.from({ length }, (_, i) => 5 * world * (world - 1) + world * (i + 1));
      const lengths = world === 2 ? [3, 2] : [2, 2, 1];
      const start = (rank: number) => lengths.slice(0, rank).reduce((a, b) => a + b, 0);
      const parts = lengths.map((n, r) => odd[r]!.slice(0, n));
      const got = await run(
        world,
        [
          { op: "allReduce", values: odd },
          { op: "allReduce", values: odd, dtype: "f64" },
          { op: "allReduceNumbers", values: odd },
          { op: "reduceScatter", values: odd },
          { op: "reduceScatter", values: even },
          { op: "reduceTo", values: odd, root: world - 1 },
          { op: "barrier" },
          { op: "broadcast", values: odd, root: world - 1, dtype: "i32" },
          { op: "allGather", values: even, dtype: "bf16" },
          { op: "allGather", values: parts, lengths, dtype: "i32" },
        ],
        env,
      );
      for (const [rank, found] of got.entries()) {
        const [from, n] = [start(rank), lengths[rank]!];
        expect(found, `rank ${rank} of ${world}`).toEqual([
          ...[sum(5), sum(5), sum(5), sum(5).slice(from, from + n)],
          sum(2 * world).slice(2 * rank, 2 * rank + 2),
          [rank === world - 1 ? sum(5) : null, rank === 0 ? sum(2) : null],
          ...["passed", odd[world - 1], even.flat(), parts.flat()],
        ]);
      }
    }
  },
  120_000,
);

able(
  "groups_and_wrong_calls_are_refused_by_name",
  async () => {
    const values = ramp(2);
    const refused = async (call: Parameters<typeof run>[1][number]) => {
      const all = await outcomes(2, (rank) => (rank === 0 ? [call] : []), env);
      const { code, what, why } = all[0]!.out as Record<string, string>;
      return [code, `${what}: ${why}`];
    };
    expect(await refused({ op: "allReduce", values, group: [0] })).toEqual([
      "collective_unavailable",
      expect.stringContaining("the ranks 0 of 2"),
    ]);
    expect(await refused({ op: "broadcast", values, root: 2 })).toEqual([
      "collective_invalid",
      "broadcast from rank 2: there are 2 ranks",
    ]);
    expect(await refused({ op: "reduceScatter", values, lengths: [4, 2] })).toEqual([
      "collective_invalid",
      expect.stringContaining("parts of 4, 2"),
    ]);
  },
  120_000,
);

test("a_backend_without_worlds_is_refused_with_the_way_out", () => {
  const folder = mkdtempSync(join(root, "world-"));
  makeRankPipes(folder, 1);
  const device = Device.open("cpu", { threads: 1 });
  expect(() => openDeviceCollectives(device, { rank: 0, world: 1, folder })).toThrow(
    expect.objectContaining({
      code: "ranks_unavailable",
      why: "backend cpu has no worlds of ranks",
      fix: expect.stringContaining("NSA_NCCL"),
      exitCode: 4,
    }),
  );
  device.close();
});
