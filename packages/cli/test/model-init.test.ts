// Checkpoints in the shape of a config.json: of random weights, and of a folder's weights in what they compute in.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SafetensorsReader } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { exportHuggingFace, loadModel, readCheckpointState } from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { importCommand, initCommand } from "../src/commands/model.ts";
import { nsa } from "./built.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-init-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Qwen2.5 at tiny size. */
const shape = {
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  vocab_size: 300,
  hidden_size: 48,
  intermediate_size: 80,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 4096,
  rope_theta: 1e6,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
};
const folder = (name: string, config: object) => {
  const dir = join(root, name);
  mkdirSync(dir);
  writeFileSync(join(dir, "config.json"), JSON.stringify(config));
  return dir;
};
const from = folder("shape", shape);

function weights(checkpoint: string): Record<string, number[]> {
  using file = SafetensorsReader.open(join(checkpoint, "model.safetensors"));
  return Object.fromEntries([...file.entries.keys()].map((name) => [name, [...file.floats(name)]]));
}

async function init(name: string, options: { seed: number; dtype?: "fp32" | "bf16" }) {
  const to = join(root, name);
  await initCommand(from, to, { device: "cpu", ...options });
  return to;
}

test("random_weights_have_the_shape_of_the_file_and_depend_on_the_seed_alone", async () => {
  const [one, again, other, low] = await Promise.all([
    init("one", { seed: 5 }),
    init("again", { seed: 5 }),
    init("other", { seed: 6 }),
    init("low", { seed: 5, dtype: "bf16" }),
  ]);
  const { model } = await readCheckpointState(one);
  expect(model).toMatchObject({
    dModel: 48,
    numLayers: 3,
    qkvBias: true,
    tieEmbeddings: true,
    dtype: "fp32",
  });
  const first = weights(one);
  expect(weights(again)).toEqual(first);
  expect(weights(other)).not.toEqual(first);
  // What it computes in changes no weight.
  expect(weights(low)).toEqual(first);
  expect((await readCheckpointState(low)).model).toEqual({ ...model, dtype: "bf16" });
  const embedding = first["model.embed_tokens.weight"]!;
  expect(embedding).toHaveLength(300 * 48);
  const std = Math.sqrt(embedding.reduce((sum, x) => sum + x * x, 0) / embedding.length);
  // 14,400 draws: the standard error of their deviation is 0.6 %.
  expect(std / 0.02).toBeCloseTo(1, 1);
  expect(first["model.layers.2.self_attn.q_proj.bias"]).toEqual(new Array(48).fill(0));
});

test("an_import_in_bf16_holds_the_folder_s_weights_in_fp32_and_computes_in_bf16", async () => {
  const device = Device.open("cpu", { threads: 1 });
  const hub = join(root, "hub");
  const made = await init("made", { seed: 3 });
  await exportHuggingFace(await loadModel(device, made), hub);
  const [plain, low] = [join(root, "plain"), join(root, "imported")];
  await importCommand(hub, plain);
  await importCommand(hub, low, { dtype: "bf16" });
  expect(weights(low)).toEqual(weights(made));
  expect(weights(plain)).toEqual(weights(made));
  const model = await loadModel(device, low);
  expect(model.parameters.low?.dtype).toBe("bf16");
  expect((await loadModel(device, plain)).parameters.low).toBeUndefined();
  device.close();
});

test("what_has_no_shape_that_is_computed_here_is_refused_by_the_command", () => {
  const run = (dir: string, ...more: string[]) => {
    const { status, stderr } = nsa(["model", "init", dir, join(root, "refused"), ...more]);
    return { status, stderr };
  };
  expect(run(folder("gemma", { ...shape, model_type: "gemma2" }))).toMatchObject({
    status: 4,
    stderr: expect.stringContaining("model_type gemma2"),
  });
  expect(run(folder("sizes", { ...shape, hidden_size: undefined }))).toMatchObject({
    status: 3,
    stderr: expect.stringContaining("hidden_size"),
  });
  expect(run(join(root, "nowhere")).status).toBe(3);
  expect(run(from, "--dtype", "int8").status).toBe(2);
  expect(existsSync(join(root, "refused"))).toBe(false);
  const ok = nsa(["model", "init", from, join(root, "command"), "--dtype", "bf16", "--seed", "5"]);
  expect(ok).toMatchObject({ status: 0, stderr: "" });
  // What was written is printed, and that texts cannot be read with it yet.
  expect(ok.stdout).toMatch(
    /^\S+command: [\d.]+k parameters in bf16(, with [^;]+)?; to read texts it needs the model's tokenizer\.json beside it\n$/,
  );
  expect(weights(join(root, "command"))["model.norm.weight"]).toEqual(new Array(48).fill(1));
});

test("adapters_have_no_dtype_of_their_own", async () => {
  await expect(importCommand("peft", "to", { base: "base", dtype: "bf16" })).rejects.toMatchObject({
    code: "dtype_unused",
    exitCode: 2,
  });
});
