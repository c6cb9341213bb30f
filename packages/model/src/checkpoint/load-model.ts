// A model from a checkpoint: whole weights, or those of a base with adapters beside them or merged into them.
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { SafetensorsReader } from "@nsa/core";
import type { Device, Tensor } from "@nsa/kernels";
import { adapterSize } from "../adapter/config.ts";
import { isAdapterTensor, nameOfA, nameOfB } from "../adapter/weights.ts";
import { resolveModelConfig } from "../config/model-config.ts";
import type { ModelConfig } from "../config/schema.ts";
import { headKinds, logitsWeightOf } from "../heads/registry.ts";
import type { ParameterGroup } from "../parameters/groups.ts";
import type { NamedTensor } from "../parameters/parameters.ts";
import { Transformer } from "../transformer/transformer.ts";
import { baseRecord, CheckpointChain, type Level } from "./base.ts";
import { readCheckpointState, weightsFile } from "./read-state.ts";
import { badCheckpoint, type CheckpointState } from "./state.ts";
import { loadNamed } from "./weights.ts";

/** The checkpoint's file of weights, which must be of the architecture that its state names. */
export function openWeights(dir: string, state: CheckpointState): SafetensorsReader {
  const name = weightsFile(state);
  const file = SafetensorsReader.open(join(dir, name));
  const { nsa_config: saved } = file.metadata;
  // In format 1 only the weights are vouched for, and they carry the architecture too.
  if (saved === undefined || isDeepStrictEqual(resolveModelConfig(JSON.parse(saved)), state.model))
    return file;
  file.close();
  throw badCheckpoint(dir, `state.json names another architecture than ${name}`);
}

/** A tensor of a file as fp32 on the device, in the innermost scope. */
export function upload(device: Device, file: SafetensorsReader, name: string): Tensor {
  const x = device.empty(file.entries.get(name)!.shape, "f32");
  file.forEachPiece(name, (values, at) => x.write(values, at));
  return x;
}

/** w [N, K] += s·B·A; A [r, K], B [N, r], all fp32. */
export function addProduct(w: Tensor, a: Tensor, b: Tensor, scale: number): void {
  const [r, k] = [a.shape[0]!, a.shape[1]!];
  const sizes = { m: b.shape[0]!, n: k, k: r, lda: r, ldb: k, ldc: k };
  w.device.run("gemm", { a: b, b: a, c: w, alpha: scale, beta: 1, trans_a: 0, trans_b: 0, ...sizes });
}

const pathOf = (tensor: string) => tensor.replace(/\.weight$/, "");

/** Writes W of `whole` + Σ s·B·A of the levels, summed in fp32, to where the model holds W. */
function mergeInto(device: Device, tensor: NamedTensor, whole: Level, levels: readonly Level[]): void {
  using _ = device.scope();
  const w = upload(device, whole.file, tensor.name);
  const path = pathOf(tensor.name);
  for (const { file, lora } of levels) {
    const [a, b] = [nameOfA(path), nameOfB(path)].map((name) => upload(device, file, name));
    addProduct(w, a!, b!, adapterSize(lora!, path)!.scale);
  }
  device.run("copy", { x: w, y: tensor.buffer.view(tensor.offset, tensor.shape) });
}

interface LoadOptions {
  /** Whether the model has the adapters of the first level as they are; else they are merged into its weights. */
  adapters: boolean;
  /** Tensors that begin with first values where no level has them. */
  isFresh: (name: string) => boolean;
  /** Key of first values. */
  seed: number;
}

function loadChain({ levels }: CheckpointChain, model: Transformer, options: LoadOptions): void {
  const { parameters, device } = model;
  const fresh: NamedTensor[] = [];
  for (const tensor of parameters.tensors) {
    const { name } = tensor;
    if (isAdapterTensor(name)) {
      const [{ file }] = levels as [Level];
      if (options.adapters) loadNamed((n) => (file.entries.has(n) ? file : undefined), [tensor]);
      else fresh.push(tensor);
      continue;
    }
    const at = levels.findIndex(({ file }) => file.entries.has(name));
    if (at < 0 && options.isFresh(name)) {
      fresh.push(tensor);
      continue;
    }
    const merged = levels
      .slice(options.adapters ? 1 : 0, at + 1)
      .filter(({ file }) => file.entries.has(nameOfA(pathOf(name))));
    if (merged.length > 0) mergeInto(device, tensor, levels[at]!, merged);
    else loadNamed(() => levels[at]?.file, [tensor]);
  }
  if (fresh.length > 0) parameters.init(options.seed, fresh);
  parameters.refreshLow();
}

/**
 * A model with the architecture and weights of a checkpoint. By default all weights can be trained, or, where it has adapters, these; a
 * model that only generates, evaluates or is a reference takes `INFERENCE_ONLY` as its groups.
 *
 * `overrides.head`: where it is another output head than the checkpoint's, that head begins with first values; where it is not given, the
 * checkpoint must be a language model (`head_without_logits`, exit 3). `overrides.lora`: new adapters, drawn by `seed`, on the
 * checkpoint's weights; adapters that the checkpoint has itself are merged into these, also where `lora: undefined` asks for none.
 */
export async function loadModel(
  device: Device,
  dir: string,
  overrides: Partial<ModelConfig> = {},
  groups?: readonly ParameterGroup[],
  seed = 0,
): Promise<Transformer> {
  const state = await readCheckpointState(dir);
  openWeights(dir, state).close();
  const config = resolveModelConfig({ ...state.model, ...overrides });
  if (overrides.head === undefined) logitsWeightOf(config);
  using chain = await CheckpointChain.open(dir, state);
  const model = new Transformer(device, config, undefined, groups);
  const adapters = config.lora !== undefined && !("lora" in overrides);
  if (config.lora) model.base = adapters ? state.base : baseRecord(dir, state);
  const own = new Set(
    config.head === state.model.head
      ? []
      : headKinds
          .get(config.head)
          .weights(config)
          .flatMap((w) => w.parts.map(({ name }) => name)),
  );
  loadChain(chain, model, { adapters, isFresh: (name) => own.has(name), seed });
  return model;
}
