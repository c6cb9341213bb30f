// Adapters as a recipe names them: their settings, and the checkpoint or PEFT folder whose adapters they begin with.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { ExitCode, NsaError } from "@nsa/core";
import type { Device } from "@nsa/kernels";
import { z } from "zod";
import { checkSameBase, noAdapter } from "../checkpoint/base.ts";
import { readModelConfig } from "../checkpoint/checkpoint.ts";
import { loadModel, openWeights } from "../checkpoint/load-model.ts";
import { readCheckpointState } from "../checkpoint/read-state.ts";
import { STATE_FILE } from "../checkpoint/state.ts";
import { loadNamed, savedTensors } from "../checkpoint/weights.ts";
import type { ModelConfig } from "../config/schema.ts";
import type { ParameterGroup } from "../parameters/groups.ts";
import type { Transformer } from "../transformer/transformer.ts";
import { type LoraConfig, loraSchema } from "./config.ts";
import { loadPeft, peftLora } from "./peft.ts";

export const adapterSchema = loraSchema.extend({
  dropout: z.number().min(0).max(1).default(0).describe("Share of inputs left out while training; only 0"),
  initFrom: z
    .string()
    .default("")
    .describe(
      "Checkpoint of adapters on the same base, or PEFT folder, whose adapters are the start and whose rank, α, targets and scaling hold; empty: new ones",
    ),
});

export type AdapterRecipe = z.output<typeof adapterSchema>;

const isCheckpoint = (folder: string) => existsSync(join(folder, STATE_FILE));

function startingLora(folder: string, base: ModelConfig): LoraConfig {
  if (!isCheckpoint(folder)) return peftLora(folder, base);
  const { lora } = readModelConfig(folder);
  if (!lora) throw noAdapter(folder);
  return lora;
}

/**
 * The adapters of a recipe as part of the architecture, on a base of this one; undefined where the recipe has none. Throws NsaError
 * `adapter_dropout` (exit 4), `adapter_differs` (exit 2) where a setting is another than that of `init_from`, `no_adapter` and what
 * reading the folder throws (exit 3).
 */
export function loraOfRecipe(adapter: AdapterRecipe | undefined, base: ModelConfig): LoraConfig | undefined {
  if (!adapter) return undefined;
  const { dropout, initFrom, ...settings } = adapter;
  if (dropout !== 0)
    throw new NsaError({
      code: "adapter_dropout",
      what: `adapter.dropout ${dropout}`,
      why: "adapters are trained on all inputs here: a step has equal bits however it is split",
      fix: "set adapter.dropout to 0, or leave it out",
      exitCode: ExitCode.unavailable,
    });
  if (initFrom === "") return settings;
  const start = startingLora(initFrom, base);
  const defaults = loraSchema.parse({});
  for (const key of Object.keys(settings) as (keyof LoraConfig)[]) {
    const own = settings[key];
    if (isDeepStrictEqual(own, defaults[key]) || isDeepStrictEqual(own, start[key])) continue;
    throw new NsaError({
      code: "adapter_differs",
      what: `adapter.${key} ${JSON.stringify(own)} beside adapter.init_from`,
      why: `the adapters of ${initFrom} have ${JSON.stringify(start[key])}`,
      fix: `leave out adapter.${key}, or begin with new adapters`,
      exitCode: ExitCode.usage,
    });
  }
  return start;
}

/** Loads the adapters of a checkpoint, and what else it was trained in, into a model on the same base. */
async function loadAdapters(model: Transformer, folder: string): Promise<void> {
  const state = await readCheckpointState(folder);
  if (!state.base) throw noAdapter(folder);
  checkSameBase(folder, state, model.base);
  using file = openWeights(folder, state);
  const held = savedTensors(model);
  const names = new Set(held.map(({ name }) => name));
  const other = [...file.entries.keys()].find((name) => !names.has(name));
  if (other !== undefined)
    throw new NsaError({
      code: "checkpoint_mismatch",
      what: `${folder} also holds ${other}, which this run does not train`,
      why: "it would be lost: the run's checkpoints hold what is trained, on the weights of the base",
      fix: "name the weight in train.groups, or start from that checkpoint itself without adapter.init_from",
      exitCode: ExitCode.data,
    });
  // What the checkpoint does not hold (a new head) begins as the stage begins it; adapters are all there.
  const present = held.filter(({ name }) => file.entries.has(name) || /\.lora_[AB]\.weight$/.test(name));
  loadNamed((name) => (file.entries.has(name) ? file : undefined), present);
  model.parameters.refreshLow();
}

/**
 * A stage's model: the weights of a checkpoint, with the adapters of the recipe, new or those of `adapter.init_from`. Throws as
 * {@link loraOfRecipe} and {@link loadModel}; NsaError `base_changed` (exit 3) where the adapters belong to other weights.
 */
export async function loadWithAdapters(
  device: Device,
  dir: string,
  adapter: AdapterRecipe | undefined,
  { head, groups, seed }: { head?: string; groups?: readonly ParameterGroup[] | undefined; seed: number },
): Promise<Transformer> {
  const lora = loraOfRecipe(adapter, readModelConfig(dir));
  const model = await loadModel(device, dir, head ? { head, lora } : { lora }, groups, seed);
  const from = adapter?.initFrom;
  if (from) await (isCheckpoint(from) ? loadAdapters(model, from) : loadPeft(model, from));
  return model;
}
