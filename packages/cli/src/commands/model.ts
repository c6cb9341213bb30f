// `nsa model import|export|inspect`: checkpoints from and to folders of Hugging Face and of PEFT.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, NsaError } from "@nsa/core";
import { modelFiles } from "@nsa/data";
import { openDevice } from "@nsa/kernels";
import {
  exportHuggingFace,
  exportPeft,
  importHuggingFace,
  inspectHuggingFace,
  loadModel,
  parameterCount,
  readCheckpointState,
  saveCheckpoint,
} from "@nsa/model";
import { importPeftCommand } from "./adapters.ts";

function usage(code: string, what: string, why: string, fix: string): NsaError {
  return new NsaError({ code, what, why, fix, exitCode: ExitCode.usage });
}

/** Throws NsaError `base_wanted`, `base_unused` (exit 2) and what reading the folder throws. */
export async function importCommand(from: string, to: string, base?: string): Promise<void> {
  const whole = existsSync(join(from, "config.json"));
  if (base !== undefined && whole)
    throw usage("base_unused", "--base", `${from} holds a whole model`, "leave out --base");
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
    const model = importHuggingFace(device, from);
    await saveCheckpoint(to, { model, step: 0, files: modelFiles(from) });
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
    await exportHuggingFace(model, to, modelFiles(from, { guessed: true }));
  } finally {
    device.close();
  }
}

export async function inspectCommand(from: string): Promise<void> {
  const ours = existsSync(join(from, "state.json"));
  const config = ours ? (await readCheckpointState(from)).model : inspectHuggingFace(from);
  console.log(JSON.stringify({ parameters: parameterCount(config), ...config }, null, 2));
}
