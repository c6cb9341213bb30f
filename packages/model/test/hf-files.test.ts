// What a Hugging Face folder's files may be: more than 2 GiB, sharded, with tensors and dtypes that nobody asks for.
import {
  closeSync,
  cpSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SafetensorsReader } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";
import { exportHuggingFace, importHuggingFace, resolveModelConfig, Transformer } from "../src/index.ts";

const cpu = openBackend({ threads: 1 });
const root = mkdtempSync(join(tmpdir(), "nsa-hf-files-"));
const base = join(root, "base");
let weights: number[];
afterAll(() => {
  cpu.close();
  rmSync(root, { recursive: true });
});

beforeAll(async () => {
  const config = {
    vocabSize: 13,
    dModel: 16,
    numLayers: 2,
    numHeads: 2,
    numKvHeads: 1,
    dFf: 20,
    attention: "full",
  } as const;
  const model = new Transformer(cpu, resolveModelConfig(config));
  model.parameters.init(3);
  weights = [...model.parameters.flat.read()];
  await exportHuggingFace(model, base);
});

interface Extra {
  dtype: string;
  shape: number[];
  bytes: number;
}

/** A file with these tensors of the base model and, between them, one that is a hole in the file. */
function writeFile(
  path: string,
  names: string[],
  extra?: Extra,
  change: (dtype: string) => string = (x) => x,
): void {
  using file = SafetensorsReader.open(join(base, "model.safetensors"));
  const header: Record<string, object> = {};
  const data: { at: number; bytes: Uint8Array }[] = [];
  let end = 0;
  const add = (name: string, dtype: string, shape: number[], bytes: number) => {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes] };
    end += bytes;
  };
  for (const [i, name] of names.entries()) {
    if (i === 1 && extra) add("extra", extra.dtype, extra.shape, extra.bytes);
    const { dtype, shape } = file.entry(name);
    const bytes = file.bytes(name);
    data.push({ at: end, bytes });
    add(name, change(dtype), shape, bytes.length);
  }
  const json = Buffer.from(JSON.stringify(header));
  const first = Buffer.alloc(8);
  first.writeBigUInt64LE(BigInt(json.length));
  const fd = openSync(path, "w");
  writeSync(fd, Buffer.concat([first, json]));
  ftruncateSync(fd, 8 + json.length + end);
  for (const { at, bytes } of data) writeSync(fd, bytes, 0, bytes.length, 8 + json.length + at);
  closeSync(fd);
}

/** The base model's tensors with queries, keys and values, and gate and up, joined row by row as Phi-3 has them. */
function writeFused(path: string): void {
  using file = SafetensorsReader.open(join(base, "model.safetensors"));
  const joined = new Map<string, { shape: number[]; bytes: Uint8Array[] }>();
  const place = (name: string) =>
    name.replace(/\.[qkv]_proj/, ".qkv_proj").replace(/\.(gate|up)_proj/, ".gate_up_proj");
  const order = ["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"];
  const rank = (name: string) => order.findIndex((part) => name.includes(part));
  for (const name of namesOf().sort((a, b) => rank(a) - rank(b))) {
    const { shape } = file.entry(name);
    const whole = joined.get(place(name));
    if (whole) whole.shape[0]! += shape[0]!;
    else joined.set(place(name), { shape: [...shape], bytes: [] });
    joined.get(place(name))!.bytes.push(file.bytes(name));
  }
  let end = 0;
  const header = Object.fromEntries(
    [...joined].map(([name, { shape, bytes }]) => {
      const size = bytes.reduce((sum, part) => sum + part.length, 0);
      end += size;
      return [name, { dtype: "F32", shape, data_offsets: [end - size, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const first = Buffer.alloc(8);
  first.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([first, json, ...[...joined.values()].flatMap(({ bytes }) => bytes)]));
}

function namesOf(): string[] {
  using file = SafetensorsReader.open(join(base, "model.safetensors"));
  return [...file.entries.keys()];
}

function folderOf(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  cpSync(join(base, "config.json"), join(folder, "config.json"));
  return folder;
}

const imported = (folder: string) => [...importHuggingFace(cpu, folder).parameters.flat.read()];
const large = 2 ** 31 + 4096;

test("projections_that_a_file_holds_together_are_read_as_those_of_their_own", () => {
  const folder = folderOf("fused");
  writeFused(join(folder, "model.safetensors"));
  expect(imported(folder)).toEqual(weights);
  const path = join(folder, "config.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), intermediate_size: 18 }));
  expect(() => imported(folder)).toThrow(
    expect.objectContaining({ code: "checkpoint_mismatch", exitCode: 3 }),
  );
});

test("a_file_of_more_than_2_GiB_is_imported", () => {
  const folder = folderOf("large");
  writeFile(join(folder, "model.safetensors"), namesOf(), { dtype: "F32", shape: [large / 4], bytes: large });
  expect(imported(folder)).toEqual(weights);
});

test("shards_of_more_than_2_GiB_are_imported_and_only_those_that_are_wanted", () => {
  const folder = folderOf("shards");
  const names = namesOf();
  const extra = { dtype: "BF16", shape: [large / 2], bytes: large };
  const map: Record<string, string> = {};
  for (const i of [0, 1]) {
    const part = names.filter((_, j) => j % 2 === i);
    writeFile(join(folder, `model-${i}.safetensors`), part, extra);
    for (const name of part) map[name] = `model-${i}.safetensors`;
  }
  const index = join(folder, "model.safetensors.index.json");
  writeFileSync(
    index,
    JSON.stringify({ metadata: {}, weight_map: { ...map, "vision.weight": "model-2.safetensors" } }),
  );
  expect(imported(folder)).toEqual(weights);
  rmSync(join(folder, "model-1.safetensors"));
  const missing = expect.objectContaining({
    code: "hf_shard_missing",
    exitCode: 3,
    what: expect.stringContaining("model-1.safetensors"),
    fix: expect.stringContaining("fetch"),
  });
  expect(() => imported(folder)).toThrowError(missing);
  for (const weight_map of [undefined, {}, { ...map, x: "../model-0.safetensors" }, { x: 1 }]) {
    writeFileSync(index, JSON.stringify({ weight_map }));
    const unusable = expect.objectContaining({ code: "hf_unreadable", exitCode: 3 });
    expect(() => imported(folder)).toThrowError(unusable);
  }
});

test.each([
  ["BOOL", 1],
  ["I8", 1],
  ["I16", 2],
  ["F8_E4M3", 1],
  ["F8_E5M2", 1],
])("a_tensor_of_dtype_%s_that_the_model_does_not_have_is_left_out", (dtype, width) => {
  const folder = folderOf(`extra-${dtype}`);
  writeFile(join(folder, "model.safetensors"), namesOf(), { dtype, shape: [12], bytes: 12 * width });
  expect(imported(folder)).toEqual(weights);
});

test("weights_of_a_dtype_that_is_not_served_end_with_4_and_its_name", () => {
  const folder = folderOf("i32");
  writeFile(join(folder, "model.safetensors"), namesOf(), undefined, () => "I32");
  const unsupported = expect.objectContaining({
    code: "tensor_dtype_unsupported",
    exitCode: 4,
    what: expect.stringMatching(/model\.embed_tokens\.weight .*I32/),
  });
  expect(() => imported(folder)).toThrowError(unsupported);
});

test("a_folder_without_safetensors_says_what_it_has_instead", () => {
  const folder = folderOf("bin");
  const thrown = (fields: object) =>
    expect.objectContaining({ code: "hf_unreadable", exitCode: 3, ...fields });
  expect(() => imported(folder)).toThrowError(thrown({ fix: expect.stringContaining("model.safetensors") }));
  writeFileSync(join(folder, "pytorch_model-00001-of-00002.bin"), "PK");
  expect(() => imported(folder)).toThrowError(thrown({ fix: expect.stringContaining("convert") }));
});

test("an_export_is_one_valid_file_that_the_reader_of_the_format_accepts", () => {
  using file = SafetensorsReader.open(join(base, "model.safetensors"));
  expect(file.metadata.format).toBe("pt");
  const bytes = readFileSync(join(base, "model.safetensors")).length;
  const ends = [...file.entries.values()].map(({ start, bytes: n }) => start + n);
  expect(Math.max(...ends)).toBe(bytes);
});

/** The base model's files under other names, in one file or with an index. */
function renamed(name: string, rename: (tensor: string) => string, sharded: boolean): string {
  const folder = folderOf(name);
  using file = SafetensorsReader.open(join(base, "model.safetensors"));
  const header: Record<string, object> = {};
  const parts: Uint8Array[] = [];
  let end = 0;
  for (const [tensor, { dtype, shape }] of file.entries) {
    const bytes = file.bytes(tensor);
    header[rename(tensor)] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    parts.push(bytes);
    end += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const first = Buffer.alloc(8);
  first.writeBigUInt64LE(BigInt(json.length));
  const target = sharded ? "model-00001-of-00001.safetensors" : "model.safetensors";
  writeFileSync(join(folder, target), Buffer.concat([first, json, ...parts]));
  if (sharded) {
    const weight_map = Object.fromEntries(Object.keys(header).map((key) => [key, target]));
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map }));
  }
  return folder;
}

for (const sharded of [false, true])
  test(`names_with_and_without_model_in_front_are_read${sharded ? "_through_an_index" : ""}`, () => {
    const suffix = sharded ? "-sharded" : "";
    const without = renamed(`bare${suffix}`, (name) => name.replace(/^model\./, ""), sharded);
    const mixed = renamed(`mixed${suffix}`, (name) => name.replace(/^model\.layers/, "layers"), sharded);
    const more = renamed(`more${suffix}`, (name) => name.replace(/^lm_head/, "model.lm_head"), sharded);
    for (const folder of [without, mixed, more]) expect(imported(folder)).toEqual(weights);
  });

test.each([
  ["vocab_size", 2 ** 53],
  ["vocab_size", 2 ** 28 + 1],
  ["hidden_size", 1e15],
  ["intermediate_size", 1e12],
  ["num_hidden_layers", 1e9],
  ["num_attention_heads", 2 ** 40],
  ["num_key_value_heads", 1e6],
  ["max_position_embeddings", 1e12],
])("%s_of_%d_is_refused_at_once", (key, value) => {
  const folder = folderOf(`huge-${key}-${value}`);
  const config = JSON.parse(readFileSync(join(base, "config.json"), "utf8"));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, [key]: value }));
  cpSync(join(base, "model.safetensors"), join(folder, "model.safetensors"));
  expect(() => importHuggingFace(cpu, folder)).toThrow(
    expect.objectContaining({ code: "hf_config_invalid", exitCode: 3, what: `${key} of config.json` }),
  );
});

test("sizes_that_are_not_those_of_the_weights_are_refused_before_memory_is_taken", () => {
  const config = JSON.parse(readFileSync(join(base, "config.json"), "utf8"));
  for (const [key, value] of [
    ["vocab_size", 200_000_000],
    ["hidden_size", 2 ** 26],
  ] as const) {
    const folder = folderOf(`other-${key}`);
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, [key]: value }));
    cpSync(join(base, "model.safetensors"), join(folder, "model.safetensors"));
    expect(() => importHuggingFace(cpu, folder)).toThrow(
      expect.objectContaining({
        code: "checkpoint_mismatch",
        exitCode: 3,
        why: expect.stringContaining("[13, 16]"),
      }),
    );
  }
});
