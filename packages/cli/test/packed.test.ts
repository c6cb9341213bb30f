// The packages as they are published, in a folder outside the tree: plugins are type-checked there against the declarations, and each
// trains two steps.
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readJsonl } from "@nsa/core";
import { beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { root } from "./built.ts";
import { pluginRecipe } from "./plugin-recipe.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-packed-"));
const modules = join(dir, "node_modules");

const run = (command: string, args: string[]): SpawnSyncReturns<string> =>
  spawnSync(command, args, {
    cwd: dir,
    encoding: "utf8",
    env: { ...process.env, NSA_NATIVE_DIR: join(root, "build/native"), NODE_OPTIONS: "" },
    timeout: 120_000,
  });

const nsa = (...args: string[]) => run(process.execPath, [join(modules, "@nsa/cli/dist/nsa.mjs"), ...args]);

/** What an installation puts beside the packages: their dependencies, from where the workspace has them. */
function linkDependencies(name: string): void {
  const { dependencies = {} } = JSON.parse(readFileSync(join(modules, "@nsa", name, "package.json"), "utf8"));
  for (const dependency of Object.keys(dependencies)) {
    const to = join(modules, dependency);
    if (dependency.startsWith("@nsa/") || existsSync(to)) continue;
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(realpathSync(join(root, "packages", name, "node_modules", dependency)), to);
  }
}

beforeAll(() => {
  const packed = run(process.execPath, [join(root, "scripts/pack.mjs"), join(modules, "@nsa")]);
  expect(packed.status, packed.stderr + packed.stdout).toBe(0);
  for (const name of readdirSync(join(modules, "@nsa"))) linkDependencies(name);
  mkdirSync(join(modules, "@types"));
  symlinkSync(realpathSync(join(root, "node_modules/@types/node")), join(modules, "@types/node"));
  cpSync(join(import.meta.dirname, "plugins"), join(dir, "mine"), { recursive: true });
  writeFileSync(join(dir, "package.json"), JSON.stringify({ type: "module" }));
  const compilerOptions = {
    target: "ES2023",
    lib: ["ES2023", "ESNext.Disposable"],
    module: "NodeNext",
    strict: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    types: ["node"],
  };
  writeFileSync(join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["mine"] }));
});

const tsc = () => run(join(root, "node_modules/.bin/tsc"), ["-p", "tsconfig.json"]);

test("the_packages_hold_code_declarations_and_versions_and_no_sources", () => {
  for (const name of readdirSync(join(root, "packages"))) {
    const folder = join(modules, "@nsa", name);
    expect(readdirSync(folder).sort(), name).toEqual(["LICENSE", "dist", "package.json"]);
    const text = readFileSync(join(folder, "package.json"), "utf8");
    expect(text, name).not.toMatch(/workspace:|catalog:|nsa-source|undefined/);
    if (name !== "cli") expect(existsSync(join(folder, "dist/types/index.d.ts")), name).toBe(true);
  }
});

test("plugins_are_checked_by_the_compiler_against_the_declarations", () => {
  const checked = tsc();
  expect(checked.status, checked.stdout).toBe(0);
  const path = join(dir, "mine/wrong.ts");
  writeFileSync(
    path,
    readFileSync(join(dir, "mine/schedule.ts"), "utf8").replace("1 - progress / 2", '"half"'),
  );
  const wrong = tsc();
  expect(wrong.stdout).toMatch(/mine\/wrong\.ts\(\d+,\d+\): error TS2322: Type 'string' is not assignable/);
  rmSync(path);
});

test("plugins_of_every_kind_train_two_steps_and_the_attention_decodes_resumes_and_estimates", () => {
  writeFileSync(join(dir, "base.yaml"), stringify({ ...pluginRecipe, name: "base" }));
  const dry = nsa("pretrain", "base.yaml", "--dry-run", "--json", "--device", "cpu");
  // The window of 512 is longer than the 32 tokens of a piece: the plugin says that a query reads all 32, which is 32 / 16.5.
  expect(JSON.parse(dry.stdout).attention_read_share).toBeCloseTo(32 / 16.5, 12);
  const trained = nsa("pretrain", "base.yaml", "--device", "cpu", "--plain");
  expect(trained.status, trained.stderr).toBe(0);
  const path = /^pretrain: (.*)$/m.exec(trained.stderr)![1]!;
  const rows = readJsonl<Record<string, number>>(join(path, "metrics.jsonl")).filter(
    (row) => "train/lr" in row,
  );
  expect(rows.map((row) => row["train/lr"])).toEqual([0.0075, 0.005]);
  for (const row of rows) expect(row["train/aux_loss"]).toBeGreaterThan(0);
  const checkpoint = join(path, "checkpoints/step-000002");
  const weights = readFileSync(join(checkpoint, "model.safetensors"));
  rmSync(checkpoint, { recursive: true });
  const resumed = nsa("pretrain", "-", "--resume", path, "--device", "cpu", "--plain");
  expect(resumed.status, resumed.stderr).toBe(0);
  expect(readFileSync(join(checkpoint, "model.safetensors")).equals(weights)).toBe(true);
  const decoded = nsa("generate", checkpoint, "1+2=", "--max-tokens", "4", "--device", "cpu", "--json");
  expect(JSON.parse(decoded.stdout).logp.length, decoded.stderr).toBeGreaterThan(0);

  const policy = {
    steps: 2,
    plugins: ["mine/loss.ts", "mine/task.ts", "mine/reward.ts"],
    init: { checkpoint },
    task: { family: "doubling", difficulty: 1, template: "{question}=" },
    rollout: { questions_per_step: 2, group_size: 2, max_tokens: 4 },
    algorithm: { loss: "unclipped" },
    rewards: [{ kind: "longer", options: { factor: 2 } }],
    evaluation: { questions: 1, samples: 1 },
  };
  writeFileSync(join(dir, "policy.yaml"), stringify(policy));
  const learned = nsa("grpo", "policy.yaml", "--device", "cpu", "--plain");
  expect(learned.status, learned.stderr).toBe(0);
  expect(learned.stdout).toContain("step 2/2");

  writeFileSync(join(dir, "a.txt"), "three short words");
  writeFileSync(
    join(dir, "words.yaml"),
    stringify({ plugins: ["mine/stage.ts"], files: ["a.txt", "a.txt"] }),
  );
  const counted = nsa("run", "count_words", "words.yaml", "--plain");
  expect(counted.status, counted.stderr).toBe(0);
  expect(counted.stdout).toContain("step 2/2  words/total 6");
});
