// The benchmark of saving, tiny: what it prints is consistent, and its checkpoint comes back bit for bit.
import { expect, test, vi } from "vitest";
import bench from "../bench/save.ts";

test("the_benchmark_of_saving_counts_its_bytes_and_finds_the_bits_again", async () => {
  const sizes = ["--layers", "1", "--d-model", "64", "--vocab", "50", "--context", "8", "--repeats", "2"];
  vi.stubEnv("NSA_BENCH_ARGS", JSON.stringify([...sizes, "--device", "cpu"]));
  const { figures, bars, series } = await bench.run();
  // Embedding and head 2·50·64, attention 4·64², MLP 3·64·192, three norms of 64.
  const parameters = 6400 + 16384 + 36864 + 192;
  expect(figures.parameters).toBe(parameters);
  // Weights and two moments in fp32, and three headers and state.json besides.
  expect(figures.bytes).toBeGreaterThan(12 * parameters);
  expect(figures.bytes).toBeLessThan(12 * parameters + 20_000);
  expect(series!.save_seconds).toHaveLength(2);
  const failed = bars.filter(({ pass, what }) => !pass && !what.startsWith("GiB"));
  expect(failed).toEqual([]);
  expect(bars.map(({ what }) => what)).toContain("the next step's loss is the same bit for bit");
});
