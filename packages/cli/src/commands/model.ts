// `nsa model import|init|export|inspect`: checkpoints from and to folders of Hugging Face and of PEFT.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, NsaError } from "@nsa/core";
import { modelFiles } from "@nsa/data";
import { openDevice } from "@nsa/kernels";
import {
  exportHuggingFace,
  exportPeft,
  importHuggingFace,
  initHuggingFace,
  inspectHuggingFace,
  loadModel,
  parameterCount,
  readCheckpointState,
  saveCheckpoint,
  type Transformer,
} from "@nsa/model";
import { count } from "../view/format.ts";
import { importPeftCommand } from "./adapters.ts";

function usage(code: string, what: string, why: string, fix: string): NsaError {
  return new NsaError({ code, what, why, fix, exitCode: ExitCode.usage });
}

/** Prints what was written, and whether texts can be read with it. */
function report(to: string, { config }: Transformer, files: Record<string, string>): void {
  const carried = Object.keys(files).filter((name) => name !== "generation_config.json");
  const beside = carried.length > 0 ? `, with ${carried.join(", ")}` : "";
  const lacks =
    "tokenizer.json" in files ? "" : "; to read texts it needs the model's tokenizer.json beside it";
  console.log(`${to}: ${count(parameterCount(config))} parameters in ${config.dtype}${beside}${lacks}`);
}

/** What a whole model computes in once it is a checkpoint. */
type Dtype = "fp32" | "bf16";

/** Throws NsaError `base_wanted`, `base_unused`, `dtype_unused` (exit 2) and what reading the folder throws. */
export async function importCommand(
  from: string,
  to: string,
  { base, dtype }: { base?: string; dtype?: Dtype } = {},
): Promise<void> {
  const whole = existsSync(join(from, "config.json"));
  if (base !== undefined && whole)
    throw usage("base_unused", "--base", `${from} holds a whole model`, "leave out --base");
  if (base !== undefined && dtype !== undefined)
    throw usage("dtype_unused", "--dtype", "adapters compute in what their base computes in", "leave it out");
  if (base !== undefined) return importPeftCommand(from, base, to);
  if (!whole && existsSync(join(from, "adapter_config.json")))
    throw usage(
      "base_wanted",
      `${from} is a PEFT folder`,
      "adapters become a checkpoint on the model that they were trained on",
      "name that model's checkpoint: --base <checkpoint>",
    );
  const device = openDevice("cpu");
  try {
    const model = importHuggingFace(device, from, dtype ? { dtype } : {}, "f32");
    const files = modelFiles(from);
    await saveCheckpoint(to, { model, step: 0, files });
    report(to, model, files);
  } finally {
    device.close();
  }
}

/** A checkpoint of random weights in the shape of a Hugging Face folder; throws as reading its config.json and its tokenizer does. */
export async function initCommand(
  from: string,
  to: string,
  { seed, dtype, device: name }: { seed: number; dtype?: Dtype; device: string },
): Promise<void> {
  const device = openDevice(name);
  try {
    const model = initHuggingFace(device, from, { seed, ...(dtype ? { dtype } : {}) });
    const files = modelFiles(from);
    await saveCheckpoint(to, { model, step: 0, files });
    report(to, model, files);
  } finally {
    device.close();
  }
}

/** Throws NsaError `base_unused` (exit 2) and what reading the checkpoint throws. */
export async function exportCommand(
  from: string,
  to: string,
  { peft, base }: { peft?: true; base?: string },
): Promise<void> {
  if (peft) return exportPeft(from, to, base);
  if (base !== undefined)
    throw usage("base_unused", "--base", "only a PEFT folder names a base", "add --peft, or leave it out");
  const device = openDevice("cpu");
  try {
    const model = await loadModel(device, from, { lora: undefined });
    const files = modelFiles(from, { guessed: true });
    await exportHuggingFace(model, to, files);
    report(to, model, files);
  } finally {
    device.close();
  }
}

export async function inspectCommand(from: string): Promise<void> {
  const ours = existsSync(join(from, "state.json"));
  const config = ours ? (await readCheckpointState(from)).model : inspectHuggingFace(from);
  console.log(JSON.stringify({ parameters: parameterCount(config), ...config }, null, 2));
}
