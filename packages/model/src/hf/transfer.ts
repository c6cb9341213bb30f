// Weights from and to Hugging Face folders (config.json and safetensors, sharded or not).
import { copyFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { atomicWriteDir, atomicWriteFile, ExitCode, NsaError, SafetensorsReader } from "@nsa/core";
import type { Device, FloatDtype } from "@nsa/kernels";
import { loadNamed, writeWeights } from "../checkpoint/weights.ts";
import type { ModelConfig } from "../config/schema.ts";
import type { NamedTensor } from "../parameters/parameters.ts";
import { Transformer } from "../transformer/transformer.ts";
import { fromHfConfig, needsOwnCode, toHfConfig } from "./config.ts";
import { fusedPart } from "./fused.ts";

/** Beside this file in the sources and in the bundle. */
const MODELING = fileURLToPath(new URL("./modeling_nsa.py", import.meta.url));

const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";

function readJson(path: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof json !== "object" || json === null || Array.isArray(json))
      throw new Error("it is no JSON object");
    return json as Record<string, unknown>;
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

/** The files of a folder's weights, opened when a tensor of theirs is wanted. */
class WeightFiles implements Disposable {
  /** File by tensor; undefined where there is no index. */
  private readonly fileOf: Map<string, string> | undefined;
  private readonly open = new Map<string, SafetensorsReader>();

  constructor(private readonly folder: string) {
    const index = join(folder, INDEX);
    if (existsSync(index)) this.fileOf = weightMap(index, readJson(index).weight_map);
    else if (!existsSync(join(folder, WEIGHTS))) throw noWeights(folder);
  }

  /** The file that holds a tensor. Throws what opening it throws. */
  find(name: string): SafetensorsReader | undefined {
    const file = this.fileOf ? this.fileOf.get(name) : WEIGHTS;
    if (file === undefined) return undefined;
    let reader = this.open.get(file);
    if (!reader) {
      const path = join(this.folder, file);
      if (this.fileOf && !existsSync(path)) throw shardMissing(path, name);
      reader = SafetensorsReader.open(path);
      this.open.set(file, reader);
    }
    return reader.entries.has(name) ? reader : undefined;
  }

  /** The name under which the files have a tensor: models that were saved without their head have no `model.` in front. */
  nameOf(name: string): string {
    const others = [name.replace(/^model\./, ""), `model.${name}`];
    return [name, ...others].find((one) => this.has(one)) ?? name;
  }

  /** The tensor under its name in the files, or as rows of the one that holds it with others. */
  placed(tensor: NamedTensor, config: ModelConfig): NamedTensor {
    const name = this.nameOf(tensor.name);
    const fused = this.has(name) ? undefined : fusedPart(tensor.name, config);
    const whole = fused && this.nameOf(fused.name);
    if (!(fused && whole !== undefined && this.has(whole))) return { ...tensor, name };
    return { ...tensor, name: whole, part: { from: fused.from, rows: fused.rows } };
  }

  /** Throws NsaError `checkpoint_mismatch` (exit 3) where the embedding in the files has another shape than config.json states. */
  checkVocabulary({ vocabSize, dModel }: Pick<ModelConfig, "vocabSize" | "dModel">): void {
    const name = this.nameOf("model.embed_tokens.weight");
    const shape = this.find(name)?.entry(name).shape;
    if (!shape || (shape[0] === vocabSize && shape[1] === dModel)) return;
    throw new NsaError({
      code: "checkpoint_mismatch",
      what: `${name} in ${this.folder}`,
      why: `its shape is [${shape.join(", ")}], and config.json states vocab_size ${vocabSize} and hidden_size ${dModel}`,
      fix: "fetch config.json and the weights of one model again",
      exitCode: ExitCode.data,
    });
  }

  /** Whether a file has the tensor; what the index names counts, whether or not its file is there. */
  private has(name: string): boolean {
    return this.fileOf ? this.fileOf.has(name) : this.find(name) !== undefined;
  }

  [Symbol.dispose](): void {
    for (const reader of this.open.values()) reader.close();
  }
}

function shardMissing(path: string, tensor: string): NsaError {
  return new NsaError({
    code: "hf_shard_missing",
    what: `${path} is not there`,
    why: `${INDEX} names it as the file of ${tensor}`,
    fix: "fetch the missing file into the folder",
    exitCode: ExitCode.data,
  });
}

function noWeights(folder: string): NsaError {
  const torch = readdirSync(folder).find((name) => /^pytorch_model.*\.bin$/.test(name));
  return new NsaError({
    code: "hf_unreadable",
    what: `${folder} has no ${WEIGHTS}`,
    why: torch ? `its weights are in ${torch}, a pickle, which is not read` : `and no ${INDEX} either`,
    fix: torch
      ? "convert the folder to safetensors first"
      : "name a folder with config.json and model.safetensors",
    exitCode: ExitCode.data,
  });
}

/** The index's map from tensor to file, all of them files of the folder itself. */
function weightMap(index: string, raw: unknown): Map<string, string> {
  const entries = typeof raw === "object" && raw !== null ? Object.entries(raw) : [];
  const wrong = entries.find(([, file]) => typeof file !== "string" || basename(file) !== file);
  if (entries.length > 0 && !wrong) return new Map(entries);
  throw new NsaError({
    code: "hf_unreadable",
    what: `${index} cannot be used`,
    why: wrong
      ? `${wrong[0]} lies in ${JSON.stringify(wrong[1])}, which is no file of the folder`
      : "it has no weight_map",
    fix: "fetch the file again",
    exitCode: ExitCode.data,
  });
}

/** The architecture of a Hugging Face folder, without reading weights. Throws NsaError `hf_unsupported` (exit 4), `hf_config_invalid`, `hf_unreadable` (exit 3). */
export function inspectHuggingFace(folder: string): ModelConfig {
  return fromHfConfig(readJson(join(folder, "config.json")));
}

/**
 * A model with the weights of a Llama, Mistral, Qwen2, Qwen3 or Phi-3 folder. `weights`: "f32" where it is only saved again, so that no bf16
 * copy is made.
 * Throws NsaError `hf_unsupported`, `tensor_dtype_unsupported` (exit 4), `hf_config_invalid`, `hf_unreadable`,
 * `hf_shard_missing`, `checkpoint_mismatch` (exit 3), and what reading a file throws.
 */
export function importHuggingFace(
  device: Device,
  folder: string,
  overrides: Partial<ModelConfig> = {},
  weights?: FloatDtype,
): Transformer {
  const config = { ...inspectHuggingFace(folder), ...overrides };
  // Before memory is taken: what config.json states must be what the files hold.
  using files = new WeightFiles(folder);
  files.checkVocabulary(config);
  const model = new Transformer(device, config, weights);
  const tensors = model.parameters.tensors.map((t) => files.placed(t, config));
  loadNamed((name) => files.find(name), tensors);
  model.parameters.refreshLow();
  return model;
}

/**
 * A model of the shape of a Hugging Face folder with random weights, to measure memory and speed before the weights are there. Reads
 * config.json alone, and throws as {@link inspectHuggingFace}.
 */
export function initHuggingFace(
  device: Device,
  folder: string,
  { seed, ...overrides }: Partial<ModelConfig> & { seed: number },
): Transformer {
  const model = new Transformer(device, { ...inspectHuggingFace(folder), ...overrides }, "f32");
  model.parameters.init(seed);
  return model;
}

/** The keys of generation_config.json that config.json repeats for readers that take them from there. */
const TOKEN_KEYS = ["bos_token_id", "eos_token_id", "pad_token_id"];

function tokenIds(files: Record<string, string>): Record<string, unknown> {
  const generation = JSON.parse(files["generation_config.json"] ?? "{}") as Record<string, unknown>;
  return Object.fromEntries(
    TOKEN_KEYS.filter((key) => key in generation).map((key) => [key, generation[key]]),
  );
}

/**
 * Writes config.json and model.safetensors (fp32), NSA and window models with modeling_nsa.py, and further `files`. The ids of
 * begin, end and padding that a generation_config.json among them states go into config.json too.
 */
export async function exportHuggingFace(
  model: Transformer,
  folder: string,
  files: Record<string, string> = {},
): Promise<void> {
  const config = JSON.stringify({ ...toHfConfig(model.config), ...tokenIds(files) }, null, 2);
  await atomicWriteDir(folder, async (temporary) => {
    await writeWeights(join(temporary, WEIGHTS), model);
    atomicWriteFile(join(temporary, "config.json"), `${config}\n`);
    if (needsOwnCode(model.config)) copyFileSync(MODELING, join(temporary, "modeling_nsa.py"));
    for (const [name, content] of Object.entries(files)) atomicWriteFile(join(temporary, name), content);
  });
}
