// Weights from and to Hugging Face folders (config.json and safetensors, sharded or not).
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { atomicWriteDir, ExitCode, NsaError, readSafetensors, type SafetensorsFile } from "@nsa/core";
import type { Device } from "@nsa/kernels";
import { loadNamed, writeWeights } from "../checkpoint/checkpoint.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { Transformer } from "../transformer/transformer.ts";
import { fromHfConfig, type HfConfig, needsOwnCode, toHfConfig } from "./config.ts";

/** Beside this file in the sources and in the bundle. */
const MODELING = fileURLToPath(new URL("./modeling_nsa.py", import.meta.url));

function readJson(path: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new NsaError({
      code: "hf_unreadable",
      what: `cannot read ${path}`,
      why: (cause as Error).message,
      fix: "name a folder with config.json and model.safetensors",
      exitCode: ExitCode.data,
      cause,
    });
  }
}

function readWeights(folder: string): SafetensorsFile {
  const index = join(folder, "model.safetensors.index.json");
  if (!existsSync(index)) return readSafetensors(join(folder, "model.safetensors"));
  const map = readJson(index).weight_map as Record<string, string>;
  const all: SafetensorsFile = { tensors: new Map(), metadata: {} };
  for (const shard of new Set(Object.values(map))) {
    for (const [name, entry] of readSafetensors(join(folder, shard)).tensors) all.tensors.set(name, entry);
  }
  return all;
}

/** The architecture of a Hugging Face folder, without reading weights. */
export function inspectHuggingFace(folder: string): ModelConfig {
  return fromHfConfig(readJson(join(folder, "config.json")) as HfConfig);
}

/**
 * A model with the weights of a Llama, Qwen2 or Qwen3 folder.
 * Throws NsaError `hf_unsupported` (exit 4), `hf_unreadable`, `checkpoint_mismatch` (exit 3).
 */
export function importHuggingFace(
  device: Device,
  folder: string,
  overrides: Partial<ModelConfig> = {},
): Transformer {
  const model = new Transformer(device, { ...inspectHuggingFace(folder), ...overrides });
  loadNamed(readWeights(folder), model.parameters, model.parameters.flat);
  model.parameters.refreshLow();
  return model;
}

/** Writes config.json and model.safetensors (fp32), NSA and window models with modeling_nsa.py, and further `files`. */
export async function exportHuggingFace(
  model: Transformer,
  folder: string,
  files: Record<string, string> = {},
): Promise<void> {
  const config = JSON.stringify(toHfConfig(model.config), null, 2);
  await atomicWriteDir(folder, (temporary) => {
    writeWeights(join(temporary, "model.safetensors"), model);
    writeFileSync(join(temporary, "config.json"), `${config}\n`);
    if (needsOwnCode(model.config)) copyFileSync(MODELING, join(temporary, "modeling_nsa.py"));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(temporary, name), content);
  });
}
