// Ranks that share out masters and moments: the same training as ranks that each hold all, with half of the memory, saved and resumed by any number of ranks.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRankPipes } from "@nsa/kernels";
import { afterAll, expect, test } from "vitest";
import type { Plan } from "./shared-main.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-shared-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Outcome {
  figures: [loss: number, norm: number][];
  bytes: number;
  weights: Record<string, number[]>;
}
type Outcomes = Record<string, Outcome>;

function start(rank: number, world: number, folder: string, plans: Plan[]): Promise<Outcomes> {
  const main = join(import.meta.dirname, "shared-main.ts");
  const flags = ["--conditions=nsa-source", "--import", import.meta.resolve("tsx")];
  const args = [...flags, main, `${rank}`, `${world}`, folder, JSON.stringify(plans)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const got = { out: "", err: "" };
  child.stdout.on("data", (x) => {
    got.out += x;
  });
  child.stderr.on("data", (x) => {
    got.err += x;
  });
  return new Promise((resolve, reject) =>
    child.on("close", (code) =>
      code === 0 ? resolve(JSON.parse(got.out)) : reject(new Error(`rank ${rank}: ${got.err}`)),
    ),
  );
}

/** What rank 0 found, once every other rank has the same figures and weights; and the bytes of each rank. */
async function ranks(
  world: number,
  plans: Plan[],
): Promise<{ found: Outcomes; bytes: (name: string) => number[] }> {
  const folder = mkdtempSync(join(root, "world-"));
  if (world > 1) makeRankPipes(folder, world);
  const all = await Promise.all(Array.from({ length: world }, (_, r) => start(r, world, folder, plans)));
  const same = (outcomes: Outcomes) =>
    Object.values(outcomes).map(({ figures, weights }) => ({ figures, weights }));
  for (const other of all) expect(same(other)).toEqual(same(all[0]!));
  return { found: all[0]!, bytes: (name) => all.map((outcomes) => outcomes[name]!.bytes) };
}

const gap = (a: Outcome, b: Outcome) => {
  const values = (o: Outcome) => [...o.figures.flat(), ...Object.values(o.weights).flat()];
  const [x, y] = [values(a), values(b)];
  return Math.max(...x.map((v, i) => Math.abs(v - y[i]!)));
};

const KINDS: Pick<Plan, "name" | "dtype" | "trainer">[] = [
  { name: "adamw", dtype: "fp32", trainer: {} },
  { name: "bf16", dtype: "bf16", trainer: { optimizer: { stateDtype: "bf16" } } },
  { name: "muon", dtype: "bf16", trainer: { optimizer: { kind: "muon" } } },
];
const plan = (
  kind: (typeof KINDS)[number],
  shareState: "always" | "never",
  more: Partial<Plan> = {},
): Plan => ({
  ...kind,
  name: `${kind.name} ${shareState}`,
  trainer: { ...kind.trainer, shareState },
  steps: 4,
  ...more,
});
const saved = (name: string) => join(root, name.replace(" ", "-"));

function expectSameFiles(a: string, b: string): void {
  for (const file of ["model.safetensors", "optimizer.safetensors"]) {
    const of = (name: string) => readFileSync(join(saved(name), file));
    expect(of(a).equals(of(b)), `${a} and ${b}: ${file}`).toBe(true);
  }
}

test("shared_masters_and_moments_train_save_and_resume_as_whole_ones", async () => {
  const modes = KINDS.flatMap((kind) =>
    (["never", "always"] as const).map((mode) => plan(kind, mode, { to: saved(`${kind.name} ${mode}`) })),
  );
  const { found, bytes } = await ranks(2, modes);
  for (const { name } of KINDS) {
    const [whole, shared] = [found[`${name} never`]!, found[`${name} always`]!];
    expect(shared.figures[0]![0], name).not.toBe(shared.figures[3]![0]);
    // Only the norm is summed in another order.
    expect(gap(whole, shared), name).toBeLessThan(1e-6);
    // Masters and moments to the byte: a checkpoint has no trace of who held what.
    expectSameFiles(`${name} always`, `${name} never`);
    const most = Math.max(...bytes(`${name} always`));
    expect(most / whole.bytes, name).toBeLessThan(0.55);
  }
  // Loaded by one rank and by three, and saved again: the same bytes.
  const again = (mode: "always" | "never", world: number) => {
    const to = (name: string) => saved(`${name} again${world}`);
    return KINDS.map((kind) =>
      plan(kind, mode, { steps: 0, from: saved(`${kind.name} always`), to: to(kind.name) }),
    );
  };
  // And trained on.
  const next = (mode: "always" | "never") =>
    plan(KINDS[0]!, mode, { name: "next", steps: 2, from: saved("adamw always") });
  const [one, three] = await Promise.all([
    ranks(1, [...again("never", 1), next("never")]),
    ranks(3, [...again("always", 3), next("always")]),
  ]);
  for (const { name } of KINDS)
    for (const world of [1, 3]) expectSameFiles(`${name} again${world}`, `${name} always`);
  expect(gap(one.found.next!, three.found.next!)).toBeLessThan(1e-6);
}, 120_000);
