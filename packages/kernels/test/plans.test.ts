// The plan file of matmuls: written by a tuned run, read by later ones, refused on another card.
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Device } from "../src/device/device.ts";
import { openPlans, savePlans } from "../src/index.ts";

/** Stands for a GPU: it meets shapes and chooses algorithms. */
class Card {
  readonly name = "cuda";
  readonly info: Record<string, string>;
  matmulPlans = "";
  tuned = false;

  constructor(gemm = "cuBLASLt 130100", name = "NVIDIA H100") {
    this.info = { name, gemm };
  }

  usePlans(text: string): void {
    this.matmulPlans = text;
  }

  tune(): void {
    this.tuned = true;
  }
}
const device = (card: Card) => card as unknown as Device;

const place = (runDir: string, plans?: { tune: boolean; from?: string }) => {
  const lines: string[] = [];
  return { lines, runDir, plans, log: (text: string) => void lines.push(text) };
};

test("a_tuned_run_writes_its_plans_and_later_runs_take_them", () => {
  const first = mkdtempSync(join(tmpdir(), "nsa-plans-"));
  writeFileSync(join(first, "env.json"), '{"node": "20"}');
  const card = new Card();
  const tuned = place(first, { tune: true });
  openPlans(device(card), tuned);
  expect(card.tuned).toBe(true);
  card.matmulPlans = "1 2 3\n";
  savePlans(device(card), tuned);
  const environment = JSON.parse(readFileSync(join(first, "env.json"), "utf8"));
  expect(environment.node).toBe("20");
  expect(environment.matmul_plans.sha256).toMatch(/^[0-9a-f]{64}$/);

  const resumed = new Card();
  openPlans(device(resumed), place(first));
  expect([resumed.matmulPlans, resumed.tuned]).toEqual(["1 2 3\n", false]);

  const second = mkdtempSync(join(tmpdir(), "nsa-plans-"));
  const later = new Card();
  const choice = place(second, { tune: false, from: join(first, "matmul-plans.json") });
  openPlans(device(later), choice);
  expect(later.matmulPlans).toBe("1 2 3\n");
  // The run keeps a copy, so that its own resumes do not depend on the other.
  savePlans(device(later), choice);
  const again = new Card();
  openPlans(device(again), place(second));
  expect(again.matmulPlans).toBe("1 2 3\n");
});

test("a_run_without_plans_writes_none", () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-plans-"));
  const card = new Card();
  card.matmulPlans = "1 2 3\n";
  openPlans(device(card), place(dir));
  savePlans(device(card), place(dir));
  expect(() => readFileSync(join(dir, "matmul-plans.json"))).toThrow(/ENOENT/);
});

test("plans_of_another_card_or_library_or_a_torn_file_are_refused", () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-plans-"));
  const card = new Card();
  card.matmulPlans = "1 2 3\n";
  savePlans(device(card), place(dir, { tune: true }));
  const code = expect.objectContaining({ code: "plans_mismatch", exitCode: 3 });
  expect(() => openPlans(device(new Card("cuBLASLt 120000")), place(dir))).toThrowError(code);
  expect(() => openPlans(device(new Card(undefined, "NVIDIA A100")), place(dir))).toThrowError(code);
  writeFileSync(join(dir, "matmul-plans.json"), '{"gpu": ');
  expect(() => openPlans(device(card), place(dir))).toThrowError(code);
});
