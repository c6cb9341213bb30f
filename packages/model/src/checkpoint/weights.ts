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
import type { Parameters } from "../parameters/parameters.ts";
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

/** The named tensors of a buffer laid out as the parameters, as fp32. */
export function tensorsOf(parameters: Parameters, buffer: Tensor, suffix = ""): TensorSource[] {
  return parameters.names.map(({ name, shape }) => ({
    name: name + suffix,
    dtype: "F32",
    shape,
    read: (into, at) => {
      const values = new Float32Array(into.buffer, into.byteOffset, into.length / 4);
      readFloats(buffer, values, parameters.range(name).offset + at / 4);
    },
  }));
}

/** Writes the fp32 masters under their Hugging Face names. Resolves with the hash of each piece of the file. */
export function writeWeights(
  path: string,
  model: Transformer,
  options: WriteOptions = {},
): Promise<string[]> {
  const tensors = tensorsOf(model.parameters, model.parameters.flat);
  const metadata = { format: "pt", nsa_config: JSON.stringify(model.config) };
  return streamSafetensors(path, tensors, { ...options, metadata });
}

/**
 * Copies named tensors into a buffer laid out as the parameters. `find` gives the file that holds a tensor.
 * Throws `checkpoint_mismatch` (exit 3), and what reading throws.
 */
export function loadNamed(
  find: (name: string) => SafetensorsReader | undefined,
  parameters: Parameters,
  buffer: Tensor,
  options: { suffix?: string; pieceBytes?: number } = {},
): void {
  const { suffix = "", pieceBytes } = options;
  for (const { name, shape } of parameters.names) {
    const file = find(name + suffix);
    const entry = file?.entries.get(name + suffix);
    if (!file || entry?.shape.join() !== shape.join()) {
      throw new NsaError({
        code: "checkpoint_mismatch",
        what: `${name}${suffix} does not fit the model`,
        why: `wanted [${shape}], the checkpoint has ${entry ? `[${entry.shape}]` : "none"}`,
        fix: "use the configuration the checkpoint was trained with",
        exitCode: ExitCode.data,
      });
    }
    const { offset } = parameters.range(name);
    file.forEachPiece(name + suffix, (values, at) => buffer.write(values, offset + at), pieceBytes);
  }
}
