// A model's own ends of text from a Hugging Face folder through import, generation and fine-tuning's targets to export.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer, trainBpe } from "@nsa/data";
import { Device } from "@nsa/kernels";
import { exportHuggingFace, resolveModelConfig, Transformer } from "@nsa/model";
import { encodeSegments, splitStops } from "@nsa/tasks";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { generate } from "../src/commands/generate.ts";
import { exportCommand, importCommand } from "../src/commands/model.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-ends-"));
const hub = join(root, "hub");
const checkpoint = join(root, "checkpoint");
afterAll(() => rmSync(root, { recursive: true }));

const [BEGIN, END, TURN] = [260, 261, 262];
const json = trainBpe(["12 34 12 34 12 34"], { vocabSize: 260, preTokenizer: "digits", specialTokens: [] });
json.added_tokens = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"].map((content, i) => ({
  id: BEGIN + i,
  content,
  special: true,
}));
const generation = { do_sample: true, temperature: 0.6, bos_token_id: BEGIN, eos_token_id: [END, TURN] };

/** A model that always writes `next`: all embeddings are alike, the layers add nothing, and one row of the head answers. */
async function exportModel(folder: string, next: number, files: Record<string, string>): Promise<void> {
  const device = Device.open("cpu", { threads: 1 });
  const sizes = { dModel: 8, numLayers: 1, numHeads: 1, numKvHeads: 1, dFf: 8, maxSeqLen: 64 };
  const config = resolveModelConfig({ ...sizes, vocabSize: 263, attention: "full", tieEmbeddings: false });
  const model = new Transformer(device, config);
  const { parameters } = model;
  const put = (name: string, value: (i: number) => number) => {
    const { offset, shape } = parameters.range(name);
    const n = shape.reduce((a, b) => a * b, 1);
    parameters.flat.write(
      Float32Array.from({ length: n }, (_, i) => value(i)),
      offset,
    );
  };
  for (const { name, shape } of parameters.names) put(name, () => (shape.length === 1 ? 1 : 0));
  put("model.embed_tokens.weight", () => 1);
  put("lm_head.weight", (i) => (Math.floor(i / 8) === next ? 9 : 0));
  await exportHuggingFace(model, folder, files);
  device.close();
}

async function printed(body: () => Promise<void>): Promise<string> {
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
  try {
    await body();
  } finally {
    log.mockRestore();
  }
  return lines.join("\n");
}

beforeAll(async () => {
  await exportModel(hub, TURN, {
    "tokenizer.json": JSON.stringify(json),
    "generation_config.json": JSON.stringify(generation),
  });
  await importCommand(hub, checkpoint);
});

const readJson = (folder: string, file: string) => JSON.parse(readFileSync(join(folder, file), "utf8"));

test("generation_ends_at_every_end_that_the_folder_lists", async () => {
  const options = { samples: 1, maxTokens: 5, temperature: 0, topP: 1, seed: 1, device: "cpu", json: true };
  const out = JSON.parse(await printed(() => generate(checkpoint, "12", options)));
  expect(out).toMatchObject({ text: "", finish: "stop" });
  expect(out.logp).toHaveLength(1);
  expect(splitStops(Tokenizer.load(checkpoint), ["\n", "<|begin_of_text|>"])).toEqual({
    stopIds: [END, TURN, BEGIN],
    stopStrings: ["\n"],
  });
});

test("what_is_learned_ends_with_one_end_the_templates_own_or_the_first", () => {
  const tokenizer = Tokenizer.load(checkpoint);
  const last = (text: string) => [...encodeSegments(tokenizer, [{ text, learned: true }]).ids].slice(-2);
  expect(last("12<|eot_id|>")).toEqual([tokenizer.encode("12").at(-1), TURN]);
  expect(last("12")).toEqual([tokenizer.encode("12").at(-1), END]);
});

test("an_export_states_the_ends_where_transformers_reads_them_and_the_next_import_finds_them", async () => {
  const out = join(root, "exported");
  await exportCommand(checkpoint, out, {});
  expect(readJson(out, "generation_config.json")).toEqual(generation);
  expect(readJson(out, "config.json")).toMatchObject({ bos_token_id: BEGIN, eos_token_id: [END, TURN] });
  const again = join(root, "again");
  await importCommand(out, again);
  expect(Tokenizer.load(again).stated).toEqual({ bosId: BEGIN, eosIds: [END, TURN] });
});

test("a_folder_that_states_them_in_config_json_alone_keeps_them_and_one_that_states_none_exports_the_one_used", async () => {
  const named = join(root, "named");
  await exportModel(named, END, { "tokenizer.json": JSON.stringify(json) });
  const config = readJson(named, "config.json");
  writeFileSync(join(named, "config.json"), JSON.stringify({ ...config, eos_token_id: END }));
  await importCommand(named, join(root, "named-checkpoint"));
  expect(Tokenizer.load(join(root, "named-checkpoint")).eosIds).toEqual([END]);
  const plain = join(root, "plain");
  await exportModel(plain, END, { "tokenizer.json": JSON.stringify(json) });
  await importCommand(plain, join(root, "plain-checkpoint"));
  expect(Tokenizer.load(join(root, "plain-checkpoint")).stated).toEqual({});
  await exportCommand(join(root, "plain-checkpoint"), join(root, "plain-out"), {});
  expect(readJson(join(root, "plain-out"), "config.json").eos_token_id).toBe(BEGIN);
  expect(readJson(join(root, "plain-out"), "generation_config.json")).toEqual({ eos_token_id: BEGIN });
});
