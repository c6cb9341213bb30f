// Whole weights from a checkpoint of adapters, and back.
import { ExitCode, NsaError } from "@nsa/core";
import type { Device } from "@nsa/kernels";
import { CheckpointChain, noAdapter } from "../checkpoint/base.ts";
import { addProduct, loadModel, upload } from "../checkpoint/load-model.ts";
import { readCheckpointState } from "../checkpoint/read-state.ts";
import { differencesOf } from "../checkpoint/resume.ts";
import type { CheckpointState } from "../checkpoint/state.ts";
import type { Transformer } from "../transformer/transformer.ts";
import { adapterSize } from "./config.ts";
import { nameOfA, nameOfB } from "./weights.ts";

async function stateWithAdapters(dir: string): Promise<CheckpointState> {
  const state = await readCheckpointState(dir);
  if (!state.base || !state.model.lora) throw noAdapter(dir);
  return state;
}

/** The model W + s·B·A, without adapters, summed in fp32. Throws NsaError `no_adapter` (exit 3) and what loading throws. */
export async function mergeAdapters(
  device: Device,
  dir: string,
): Promise<{ model: Transformer; step: number }> {
  const { model, step } = await stateWithAdapters(dir);
  return { model: await loadModel(device, dir, { lora: undefined, head: model.head }), step };
}

/**
 * The model W' − s·B·A of whole weights W', up to the rounding of the sum. Throws as {@link mergeAdapters}, and NsaError
 * `checkpoint_mismatch` (exit 3) where W' are the weights of another architecture.
 */
export async function unmergeAdapters(device: Device, whole: string, dir: string): Promise<Transformer> {
  const state = await stateWithAdapters(dir);
  const { model: architecture } = await readCheckpointState(whole);
  // A head of its own has no adapters; whole weights may be a sum that was given another.
  const why = differencesOf(architecture, state.model, ["dtype", "maxSeqLen", "head", "lora"]);
  if (why !== "") {
    throw new NsaError({
      code: "checkpoint_mismatch",
      what: `the adapters of ${dir} are not those of a model like ${whole}`,
      why,
      fix: "name the whole checkpoint that these adapters were merged into",
      exitCode: ExitCode.data,
    });
  }
  const model = await loadModel(device, whole, { head: architecture.head });
  using chain = await CheckpointChain.open(dir, state);
  const { file } = chain.levels[0]!;
  for (const { name, buffer, offset, shape } of model.parameters.tensors) {
    const path = name.replace(/\.weight$/, "");
    if (!file.entries.has(nameOfA(path))) continue;
    using _ = device.scope();
    const [a, b] = [nameOfA(path), nameOfB(path)].map((tensor) => upload(device, file, tensor));
    addProduct(buffer.view(offset, shape), a!, b!, -adapterSize(state.model.lora!, path)!.scale);
  }
  model.parameters.refreshLow();
  return model;
}
