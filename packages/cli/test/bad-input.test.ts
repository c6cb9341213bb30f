// Bad input of every kind: three lines that say what, why and how to mend it, and the right exit code.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { bundle, nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-bad-"));
const runs = join(dir, "runs");
const recipe = join(dir, "tiny.yaml");
let run = "";

const checkpoint = (of: string, step: number) => join(of, "checkpoints", `step-00000${step}`);
/** A copy of the finished run, to be damaged. */
function copyOfRun(name: string): string {
  const copy = join(dir, name);
  cpSync(run, copy, { recursive: true });
  return copy;
}

beforeAll(() => {
  writeFileSync(recipe, tinyPretrain);
  writeFileSync(join(dir, "empty.txt"), "");
  writeFileSync(join(dir, "blank.txt"), " \n\n ");
  writeFileSync(
    join(dir, "binary.txt"),
    Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256)),
  );
  writeFileSync(join(dir, "latin.txt"), Buffer.from("café au lait ".repeat(50), "latin1"));
  writeFileSync(join(dir, "latin.jsonl"), Buffer.from('{"text": "café au lait"}\n', "latin1"));
  writeFileSync(join(dir, "cut.jsonl"), '{"question": "1+1"\n');
  expect(nsa(["pretrain", recipe, "--runs", runs]).status).toBe(0);
  run = join(runs, readdirSync(runs)[0]!);
});

/** Expects the exit code, exactly three lines, and the words in them. */
function refused(args: readonly string[], exitCode: number, ...words: (string | RegExp)[]): void {
  const { status, stderr } = nsa(args, { cwd: dir });
  const lines = stderr
    .trim()
    .split("\n")
    .filter((line) => /^(error:| {2}(why|fix): )/.test(line));
  expect(
    lines.map((line) => line.slice(0, 6)),
    stderr,
  ).toEqual(["error:", "  why:", "  fix:"]);
  expect(stderr).not.toContain("bug in nsa");
  for (const word of words) expect(lines.join("\n")).toMatch(word);
  expect(status).toBe(exitCode);
}

const pretrain = (...set: string[]) => [
  "pretrain",
  recipe,
  "--runs",
  runs,
  ...set.flatMap((s) => ["--set", s]),
];
const filesOf = (name: string) => `data.sources=[{files: ["${join(dir, name)}"]}]`;

test("an_unknown_key_is_placed_in_its_file_with_the_key_that_was_meant", () => {
  const wrong = join(dir, "wrong-key.yaml");
  writeFileSync(wrong, tinyPretrain.replace("micro_batch_tokens", "micro_batch_token"));
  const line = tinyPretrain.split("\n").findIndex((l) => l.includes("micro_batch_tokens")) + 1;
  refused(["pretrain", wrong], 2, `wrong-key.yaml:${line}:3`, "unknown key", "micro_batch_tokens");
  refused(pretrain("train.stps=3"), 2, "did you mean `steps`");
});

test("a_wrong_type_is_placed_in_its_file", () => {
  const wrong = join(dir, "wrong-type.yaml");
  writeFileSync(wrong, tinyPretrain.replace("lr: 0.01", "lr: quick"));
  refused(["pretrain", wrong], 2, /wrong-type\.yaml:\d+:\d+/, 'it must be a number, and is "quick"');
});

test("a_recipe_of_another_kind_is_answered_in_a_few_lines", () => {
  const { status, stderr } = nsa(["data", "build", recipe]);
  expect(status).toBe(2);
  expect(stderr.length).toBeLessThan(700);
  expect(stderr).toMatch(/and \d+ more/);
});

test.each<[string, string[], number, RegExp]>([
  ["a_recipe_that_is_not_there", ["pretrain", "none.yaml"], 2, /there is no such file/],
  ["a_folder_as_recipe", ["pretrain", "."], 2, /cannot read/],
  [
    "a_run_that_is_not_there",
    ["pretrain", "x.yaml", "--resume", "latest", "--runs", "nowhere"],
    3,
    /nsa runs ls/,
  ],
  ["a_file_where_runs_should_be", ["pretrain", "tiny.yaml", "--runs", "tiny.yaml"], 2, /file in the way/],
  ["a_checkpoint_that_is_not_there", ["generate", "nowhere", "hi"], 3, /no run "nowhere" in runs/],
  ["a_file_as_checkpoint", ["generate", "tiny.yaml", "hi"], 3, /no checkpoint at/],
  ["a_model_that_is_not_there", ["model", "inspect", "nowhere"], 3, /config\.json/],
  ["an_option_that_is_no_number", ["generate", "x", "hi", "--max-tokens", "many"], 2, /whole number/],
  ["an_unknown_device", ["pretrain", "tiny.yaml", "--device", "gpu"], 2, /auto, cpu, cuda/],
])("%s", (_, args, exitCode, words) => refused(args, exitCode, words));

test.each<[string, string, RegExp]>([
  ["a_missing_file", "none.txt", /not there/],
  ["an_empty_corpus", "empty.txt", /no text to train on/],
  ["a_blank_corpus", "blank.txt", /no_text in blank\.txt/],
  ["a_binary_file_as_text", "binary.txt", /binary in binary\.txt/],
  ["invalid_utf8_as_text", "latin.txt", /not_utf8 in latin\.txt/],
  ["invalid_utf8_in_jsonl", "latin.jsonl", /not_utf8 in latin\.jsonl/],
  ["a_broken_line_of_jsonl", "cut.jsonl", /not_json in cut\.jsonl/],
])("%s_as_corpus_is_named_with_exit_code_3", (_, file, words) => refused(pretrain(filesOf(file)), 3, words));

test("a_corpus_of_one_document_that_is_held_out_is_explained", () => {
  writeFileSync(join(dir, "one.txt"), "Only one document. ".repeat(20));
  refused(pretrain(filesOf("one.txt")), 3, "held out for validation", "validation_share");
});

test.each<[string, string, RegExp]>([
  ["a_stride_that_does_not_divide_the_block", "model.stride=3", /multiple of stride/],
  [
    "a_selection_block_that_the_stride_does_not_divide",
    "model.selection_block_size=10",
    /multiple of stride/,
  ],
  ["fewer_than_three_selected_blocks", "model.num_selected_blocks=2", /at least 3/],
  ["heads_that_do_not_divide_the_width", "model.num_heads=3", /does not divide/],
])("%s_is_refused_before_anything_is_written", (_, set, words) => {
  const before = readdirSync(runs).length;
  refused(pretrain(set), 2, words);
  expect(readdirSync(runs)).toHaveLength(before);
});

test("a_tokenizer_with_more_ids_than_the_embedding_is_refused", () => {
  refused(pretrain("model.vocab_size=20"), 2, "model.vocab_size is 20", "280 ids");
});

test("device_cuda_without_a_usable_one_ends_with_4", () => {
  // A folder without the plugin stands for a machine without CUDA, wherever this runs.
  const native = join(dir, "native");
  mkdirSync(native);
  const built = join(bundle, "../../../../build/native/nsa.node");
  cpSync(built, join(native, "nsa.node"));
  const result = nsa(["pretrain", recipe, "--runs", runs, "--device", "cuda"], {
    env: { NSA_NATIVE_DIR: native },
  });
  expect(result.stderr).toMatch(/device cuda cannot be used\n {2}why: .*\n {2}fix: .*--device cpu/);
  expect(result.status).toBe(4);
});

test("full_memory_ends_with_5_and_names_its_tenants_and_the_setting", () => {
  const words = [/out of memory on cpu/, /most of it: .* MiB/, /train\.micro_batch_tokens|a smaller model/];
  refused(
    ["pretrain", recipe, "--device", "cpu", "--set", "memory_limit_mb=0.2", "--runs", runs],
    5,
    ...words,
  );
});

test.each<[string, (folder: string) => void, string]>([
  ["truncated_weights", (c) => truncateSync(join(c, "model.safetensors"), 3000), "SHA-256"],
  ["a_flipped_bit_in_the_weights", (c) => flip(join(c, "model.safetensors")), "SHA-256"],
  ["a_flipped_bit_in_the_moments", (c) => flip(join(c, "optimizer.safetensors")), "SHA-256"],
  ["half_a_state", (c) => truncateSync(join(c, "state.json"), 100), "not JSON"],
  ["another_tokenizer", (c) => respell(join(c, "tokenizer.json")), "tokenizer.json is not what was saved"],
])("%s_stops_a_resume_with_3", (name, damage, words) => {
  const copy = copyOfRun(name);
  damage(checkpoint(copy, 3));
  refused(["pretrain", recipe, "--resume", copy], 3, words, "earlier");
});

test("a_run_with_a_damaged_checkpoint_goes_on_from_the_one_before_to_the_same_weights", () => {
  const copy = copyOfRun("earlier");
  flip(join(checkpoint(copy, 3), "model.safetensors"));
  refused(["generate", checkpoint(copy, 3), "hi"], 3, "SHA-256");
  const earlier = nsa(["pretrain", recipe, "--resume", checkpoint(copy, 2)]);
  expect(earlier.status, earlier.stderr).toBe(0);
  const weights = (of: string) => readFileSync(join(checkpoint(of, 3), "model.safetensors"));
  expect(weights(copy).equals(weights(run))).toBe(true);
});

/** A tokenizer that loads but is not, byte for byte, the one of the checkpoint. */
function respell(path: string): void {
  writeFileSync(path, JSON.stringify(JSON.parse(readFileSync(path, "utf8")), null, 1));
}

function flip(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 4;
  writeFileSync(path, bytes);
}

test("weights_of_another_shape_are_named", () => {
  refused(pretrain(`train.init_from=${checkpoint(run, 3)}`, "model.d_model=32"), 3, "embed_tokens", "280,16");
});

test("a_full_disk_ends_with_3_keeps_the_last_checkpoint_and_the_run_goes_on", () => {
  const copy = copyOfRun("full-disk");
  const weights = readFileSync(join(checkpoint(copy, 3), "model.safetensors"));
  // A limit of 60 KiB a file is met by the optimizer's moments, after the weights were written.
  const args = [bundle, "pretrain", recipe, "--resume", copy, "--set", "train.steps=5"]
    .map((a) => `'${a}'`)
    .join(" ");
  const full = spawnSync("bash", ["-c", `ulimit -f 60; exec node ${args}`], { encoding: "utf8" });
  expect(full.stderr).toMatch(/cannot write .*\n {2}why: the disk is full.*\n {2}fix: .*--resume/);
  expect(full.status).toBe(3);
  expect(readFileSync(join(checkpoint(copy, 3), "model.safetensors")).equals(weights)).toBe(true);
  expect(readdirSync(join(copy, "checkpoints")).filter((name) => name.includes("tmp"))).toEqual([]);
  const again = nsa(["pretrain", recipe, "--resume", copy, "--set", "train.steps=5"]);
  expect(again.status, again.stderr).toBe(0);
  expect(readdirSync(join(copy, "checkpoints"))).toContain("step-000005");
});

test("debug_adds_the_stack_and_nothing_else_does", () => {
  expect(nsa(["pretrain", "none.yaml"]).stderr).not.toContain("at ");
  expect(nsa(["--debug", "pretrain", "none.yaml"]).stderr).toMatch(/\n\s+at .*/);
});
