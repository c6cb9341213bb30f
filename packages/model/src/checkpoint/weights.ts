// Parameters and buffers laid out like them, from and to the tensors of safetensors files, in pieces.
import {
  ExitCode,
  NsaError,
  type SafetensorsReader,
  streamSafetensors,
  type TensorSource,
  type WriteOptions,
} from "@nsa/core";
import { hostArray, type Tensor } from "@nsa/kernels";
import { headTensors } from "../adapter/groups.ts";
import { isAdapterTensor } from "../adapter/weights.ts";
import type { NamedTensor } from "../parameters/parameters.ts";
import type { Transformer } from "../transformer/transformer.ts";

/** Copies `into.length` elements of `buffer` from `offset` on, as fp32. */
function readFloats(buffer: Tensor, into: Float32Array, offset: number): void {
  const { device, dtype } = buffer;
  if (dtype === "f32") {
    device.readInto(buffer, into, offset);
    return;
  }
  const raw = hostArray(dtype, into.length);
  device.readInto(buffer, raw, offset);
  if (dtype === "bf16") {
    const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
    for (let i = 0; i < words.length; i++) words[i] = (raw[i] as number) << 16;
  } else into.set(raw as Float64Array);
}

/** The tensors as fp32, with a suffix to their names. */
export function tensorsOf(tensors: readonly NamedTensor[], suffix = ""): TensorSource[] {
  return tensors.map(({ name, shape, buffer, offset, fetch }) => ({
    name: name + suffix,
    dtype: "F32",
    shape,
    read: (into, at) => {
      const values = new Float32Array(into.buffer, into.byteOffset, into.length / 4);
      if (fetch) fetch(at / 4, values.length, (piece) => readFloats(piece, values, 0));
      else readFloats(buffer, values, offset + at / 4);
    },
  }));
}

/**
 * Writes the fp32 masters under their Hugging Face names. Resolves with the hash of each piece of the file. Throws `masters_missing`
 * (exit 1) for a model that was opened for inference alone.
 */
export function writeWeights(
  path: string,
  model: Transformer,
  {
    tensors = model.parameters.tensors,
    ...options
  }: WriteOptions & { tensors?: readonly NamedTensor[] } = {},
): Promise<string[]> {
  if (tensors.some(({ buffer, fetch }) => !fetch && buffer.dtype === "bf16")) {
    throw new NsaError({
      code: "masters_missing",
      what: "the model cannot be saved",
      why: "frozen weights are held in bf16 alone: the file would have rounded weights in place of the fp32 ones",
      fix: "open the model with masters",
      exitCode: ExitCode.bug,
    });
  }
  const metadata = { format: "pt", nsa_config: JSON.stringify(model.config) };
  return streamSafetensors(path, tensorsOf(tensors), { ...options, metadata });
}

/**
 * What a checkpoint of the model holds: all tensors, or, where it lies on a base, the adapters, the head's own and what else is trained.
 */
export function savedTensors(model: Transformer): NamedTensor[] {
  const { parameters, config, base } = model;
  if (!base) return parameters.tensors;
  const trained = parameters.layout.groups.filter((g) => g.trainable).flatMap((g) => g.weights);
  const names = new Set([...trained.flatMap((w) => w.parts.map(({ name }) => name)), ...headTensors(config)]);
  return parameters.tensors.filter(({ name }) => names.has(name) || isAdapterTensor(name));
}

/** Writes fp32 values into a buffer; the device rounds them where it holds bf16. */
function writeFloats(buffer: Tensor, values: ArrayLike<number>, offset: number): void {
  if (buffer.dtype !== "bf16") {
    buffer.write(values, offset);
    return;
  }
  const { device } = buffer;
  using _ = device.scope();
  const x = device.from(values, [values.length], "f32");
  device.run("copy", { x, y: buffer.view(offset, [values.length]) });
}

/**
 * Copies named tensors from files to where they are held. `find` gives the file that holds a tensor.
 * Throws `checkpoint_mismatch` (exit 3), and what reading throws.
 */
export function loadNamed(
  find: (name: string) => SafetensorsReader | undefined,
  tensors: readonly NamedTensor[],
  options: { suffix?: string; pieceBytes?: number } = {},
): void {
  const { suffix = "", pieceBytes } = options;
  for (const { name, shape: own, buffer, offset, part } of tensors) {
    const file = find(name + suffix);
    const entry = file?.entries.get(name + suffix);
    const shape = part ? [part.rows, ...own.slice(1)] : own;
    if (!file || entry?.shape.join() !== shape.join()) {
      throw new NsaError({
        code: "checkpoint_mismatch",
        what: `${name}${suffix} does not fit the model`,
        why: `wanted [${shape}], the checkpoint has ${entry ? `[${entry.shape}]` : "none"}`,
        fix: "use the configuration the checkpoint was trained with",
        exitCode: ExitCode.data,
      });
    }
    const row = own.slice(1).reduce((a, b) => a * b, 1);
    const from = (part?.from ?? 0) * row;
    const to = from + (own[0] ?? 1) * row;
    file.forEachPiece(
      name + suffix,
      (values, at) => {
        const [first, last] = [Math.max(at, from), Math.min(at + values.length, to)];
        if (first < last) writeFloats(buffer, values.subarray(first - at, last - at), offset + first - from);
      },
      pieceBytes,
    );
  }
}
