// Adapters from and to the folders of PEFT: adapter_config.json and adapter_model.safetensors.
//
// PEFT puts `base_model.model.` before a tensor's name; the rest is the name of a checkpoint's tensor.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  atomicWriteDir,
  atomicWriteFile,
  ExitCode,
  NsaError,
  SafetensorsReader,
  streamSafetensors,
} from "@nsa/core";
import type { Device } from "@nsa/kernels";
import { noAdapter } from "../checkpoint/base.ts";
import { loadModel } from "../checkpoint/load-model.ts";
import { readCheckpointState } from "../checkpoint/read-state.ts";
import { ADAPTER } from "../checkpoint/state.ts";
import { loadNamed } from "../checkpoint/weights.ts";
import type { ModelConfig } from "../config/schema.ts";
import type { Transformer } from "../transformer/transformer.ts";
import type { LoraConfig } from "./config.ts";
import { fromPeftConfig, invalidPeft, linearPaths, loraOf, toPeftConfig } from "./peft-config.ts";
import { isAdapterTensor } from "./weights.ts";

const PREFIX = "base_model.model.";
const CONFIG = "adapter_config.json";
const TENSORS = "adapter_model.safetensors";

/**
 * Writes the adapters of a checkpoint as PEFT does, in fp32. `base`: where the reader finds the model under them, by default the path of
 * the checkpoint's base. Throws NsaError `no_adapter` (exit 3), `peft_unsupported` (exit 4).
 */
export async function exportPeft(checkpoint: string, folder: string, base?: string): Promise<void> {
  const state = await readCheckpointState(checkpoint);
  if (!state.base || !state.model.lora) throw noAdapter(checkpoint);
  using file = SafetensorsReader.open(join(checkpoint, ADAPTER));
  const names = [...file.entries.keys()];
  const other = names.find((name) => !isAdapterTensor(name));
  if (other !== undefined) {
    throw new NsaError({
      code: "peft_unsupported",
      what: `${checkpoint} also holds ${other}`,
      why: "a PEFT folder is written of adapters alone",
      fix: "merge it: nsa model merge <checkpoint> <to>, then nsa model export",
      exitCode: ExitCode.unavailable,
    });
  }
  const config = toPeftConfig(state.model, base ?? state.base.path);
  await atomicWriteDir(folder, async (temporary) => {
    const tensors = names.map((name) => {
      const bytes = Buffer.from(file.floats(name).buffer);
      return {
        name: PREFIX + name,
        dtype: "F32" as const,
        shape: [...file.entries.get(name)!.shape],
        read: (into: Uint8Array, at: number) => into.set(bytes.subarray(at, at + into.length)),
      };
    });
    await streamSafetensors(join(temporary, TENSORS), tensors, { metadata: { format: "pt" } });
    atomicWriteFile(join(temporary, CONFIG), `${JSON.stringify(config, null, 2)}\n`);
  });
}

function readConfig(folder: string): Record<string, unknown> {
  const path = join(folder, CONFIG);
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw invalidPeft(`cannot read ${path}`, (cause as Error).message);
  }
}

/** Rows of the A of each adapted layer. Throws NsaError `peft_unsupported` (exit 4) where a tensor belongs to no linear layer. */
function ranksOf(file: SafetensorsReader, paths: ReadonlySet<string>): Map<string, number> {
  const ranks = new Map<string, number>();
  for (const [full, { shape }] of file.entries) {
    const name = full.startsWith(PREFIX) ? full.slice(PREFIX.length) : full;
    const path = name.replace(/\.lora_[AB]\.weight$/, "");
    if (!isAdapterTensor(name) || !paths.has(path)) {
      throw new NsaError({
        code: "peft_unsupported",
        what: `tensor ${full} of ${TENSORS}`,
        why: "adapters belong to linear layers of attention and MLP here, and the base has no such layer",
        fix: "merge the adapter in PEFT (merge_and_unload) and import the whole model",
        exitCode: ExitCode.unavailable,
      });
    }
    if (name.endsWith(".lora_A.weight")) ranks.set(path, shape[0]!);
  }
  return ranks;
}

function openPeft(folder: string): SafetensorsReader {
  const path = join(folder, TENSORS);
  if (existsSync(path)) return SafetensorsReader.open(path);
  const pickle = existsSync(join(folder, "adapter_model.bin"));
  throw invalidPeft(
    `${folder} has no ${TENSORS}`,
    pickle ? "its adapters are in adapter_model.bin, a pickle, which is not read" : "the file is missing",
  );
}

/** The adapters of a PEFT folder as settings, on a base of this architecture. Throws as {@link importPeft}. */
export function peftLora(folder: string, base: ModelConfig): LoraConfig {
  const json = readConfig(folder);
  using file = openPeft(folder);
  const all = linearPaths(base);
  const { sizes, rest } = fromPeftConfig(json, ranksOf(file, new Set(all)));
  if (sizes.size === 0) throw invalidPeft(join(folder, TENSORS), "it holds no adapter");
  return loraOf(sizes, all, rest);
}

/** Loads the adapters of a PEFT folder into a model that has them. Throws NsaError `checkpoint_mismatch` (exit 3). */
export function loadPeft(model: Transformer, folder: string): void {
  using file = openPeft(folder);
  const named = (name: string) => (file.entries.has(PREFIX + name) ? PREFIX + name : name);
  for (const tensor of model.parameters.tensors.filter(({ name }) => isAdapterTensor(name)))
    loadNamed(
      (name) => (file.entries.has(name) ? file : undefined),
      [{ ...tensor, name: named(tensor.name) }],
    );
  model.parameters.refreshLow();
}

/**
 * A model with the adapters of a PEFT folder on the weights of a checkpoint; saved, it is a checkpoint of adapters. Throws NsaError
 * `peft_unsupported` (exit 4), `peft_invalid`, `checkpoint_mismatch` (exit 3).
 */
export async function importPeft(device: Device, folder: string, base: string): Promise<Transformer> {
  const { model } = await readCheckpointState(base);
  const made = await loadModel(device, base, { lora: peftLora(folder, model) });
  loadPeft(made, folder);
  return made;
}
