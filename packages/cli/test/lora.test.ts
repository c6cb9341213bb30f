// Adapters as a user runs them: adapters trained by a recipe, generated with, merged, exchanged with PEFT, moved, and refused.
import { cpSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-lora-cli-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (...parts: string[]) => join(root, ...parts);

function ok(...args: string[]): string {
  const run = nsa(args, { cwd: root });
  expect(run.status, run.stderr).toBe(0);
  return run.stdout;
}

let base = "";
let adapters = "";
const newest = (stage: string) => {
  const run = readdirSync(at("runs")).find((name) => name.startsWith(stage))!;
  const checkpoints = at("runs", run, "checkpoints");
  return join(checkpoints, readdirSync(checkpoints).sort().at(-1)!);
};
const written = (checkpoint: string) =>
  ok("generate", checkpoint, "The ", "--device", "cpu", "--temperature", "0", "--max-tokens", "8", "--json");

beforeAll(() => {
  writeFileSync(at("base.yaml"), tinyPretrain);
  ok("pretrain", "base.yaml", "--device", "cpu");
  base = at("base");
  cpSync(newest("pretrain"), base, { recursive: true });
  const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ q: `The ${i % 4}`, a: "end end" }));
  writeFileSync(at("examples.jsonl"), rows.join("\n"));
  const recipe = `
name: lora
threads: 1
init_from: base
adapter: {rank: 2, targets: [q_proj, "v_proj*", {name: down_proj, rank: 3, alpha: 9}]}
data:
  sources:
    - files: [examples.jsonl]
      prompt: "{q}"
      completion: " {a}"
train: {steps: 12, micro_batch_tokens: 64, seq_len: 32, optimizer: {lr: 0.05}}
sample: {prompts: 0}
`;
  writeFileSync(at("lora.yaml"), recipe);
  writeFileSync(at("full.yaml"), recipe.replace(/^adapter: .*\n/m, ""));
  ok("sft", "lora.yaml", "--device", "cpu");
  adapters = newest("sft");
});

test("adapters_are_generated_with_as_the_merged_checkpoint_is", () => {
  expect(existsSync(join(adapters, "adapter.safetensors"))).toBe(true);
  const text = written(adapters);
  expect(text).not.toBe(written(base));
  ok("model", "merge", adapters, at("merged"));
  const strip = (line: string) => JSON.parse(line).text as string;
  expect(strip(written(at("merged")))).toBe(strip(text));
  // Whole weights have no adapters to merge.
  const again = nsa(["model", "merge", at("merged"), at("twice")], { cwd: root });
  expect(again.status).toBe(3);
  expect(again.stderr).toContain("has no adapters");
});

test("adapters_go_to_peft_and_back_with_equal_text", () => {
  ok("model", "export", adapters, at("peft"), "--peft", "--base", "org/model");
  expect(readdirSync(at("peft")).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  const without = nsa(["model", "import", at("peft"), at("back")], { cwd: root });
  expect(without.status).toBe(2);
  expect(without.stderr).toContain("--base <checkpoint>");
  expect(nsa(["model", "export", adapters, at("no"), "--base", "x"], { cwd: root }).status).toBe(2);
  ok("model", "import", at("peft"), at("back"), "--base", base);
  expect(written(at("back"))).toBe(written(adapters));
});

test("a_moved_base_is_named_and_found_by_rebase", () => {
  const text = written(adapters);
  renameSync(base, at("elsewhere"));
  const lost = nsa(["generate", adapters, "The ", "--device", "cpu"], { cwd: root });
  expect(lost.status).toBe(3);
  expect(lost.stderr).toContain("nsa model rebase");
  ok("model", "rebase", adapters, at("elsewhere"));
  expect(written(adapters)).toBe(text);
  renameSync(at("elsewhere"), base);
  ok("model", "rebase", adapters, base);
});

test("a_dry_run_with_adapters_needs_less_and_names_the_largest_model", () => {
  const dry = (recipe: string) =>
    JSON.parse(ok("sft", recipe, "--device", "cpu", "--dry-run", "--json")) as Record<string, number>;
  const [lora, full] = [dry("lora.yaml"), dry("full.yaml")];
  expect(lora.memory_parameters_bytes!).toBeLessThan(0.5 * full.memory_parameters_bytes!);
  expect(lora.largest_model_parameters!).toBeGreaterThan(full.largest_model_parameters!);
  expect(lora.largest_model_bytes!).toBeLessThanOrEqual(0.95 * lora.device_memory_bytes!);
  expect(lora.next_model_bytes!).toBeGreaterThan(0.95 * lora.device_memory_bytes!);
  expect(ok("sft", "lora.yaml", "--device", "cpu", "--dry-run")).toMatch(/^largest model\t.*the next size/m);
});
