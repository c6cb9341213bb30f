// Config loading: precedence, places, suggestions, naming, schema files.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { configJsonSchema, explainConfig } from "../src/config/describe.ts";
import { didYouMean } from "../src/config/did-you-mean.ts";
import { configYaml, loadConfig, parseConfig } from "../src/config/load.ts";
import type { NsaError } from "../src/errors.ts";

const schema = z.strictObject({
  name: z.string().default("run").describe("Name of the run."),
  train: z
    .strictObject({
      lr: z.number().positive().default(1e-3).describe("Peak learning rate."),
      maxSteps: z.int().describe("Optimizer steps."),
      weights: z.record(z.string(), z.number()).default({}).describe("Weight by corpus."),
    })
    .describe("Training."),
  layers: z
    .array(
      z.discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("nsa"), blockSize: z.int() }),
        z.strictObject({ kind: z.literal("full"), numHeads: z.int() }),
      ]),
    )
    .default([])
    .describe("Layers."),
});

const dir = mkdtempSync(join(tmpdir(), "nsa-config-"));
function file(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}
function failure(text: string, set: string[] = []): NsaError {
  const path = file("bad.yaml", text);
  try {
    loadConfig(schema, path, { set });
  } catch (error) {
    return error as NsaError;
  }
  throw new Error("no error");
}

test("precedence_is_defaults_extends_file_set", () => {
  file("base.yaml", "name: base\ntrain: {lr: 0.1, max_steps: 5, weights: {camelKey: 1, snake_key: 2}}\n");
  const path = file("top.yaml", "extends: base.yaml\ntrain:\n  max_steps: 7\n");
  const { config } = loadConfig(schema, path, { set: ["train.lr=3e-4"] });
  expect(config).toEqual({
    name: "base",
    train: { lr: 3e-4, maxSteps: 7, weights: { camelKey: 1, snake_key: 2 } },
    layers: [],
  });
});

test("resolved_yaml_is_snake_case_and_loads_to_the_same_config", () => {
  const text = "train: {max_steps: 7}\nlayers: [{kind: nsa, block_size: 32}, {kind: full, num_heads: 2}]\n";
  const { config, yaml } = loadConfig(schema, file("a.yaml", text));
  expect(yaml).toContain("block_size: 32");
  expect(parse(yaml).train.max_steps).toBe(7);
  expect(loadConfig(schema, file("b.yaml", yaml)).config).toEqual(config);
  expect(configYaml(schema, config)).toBe(yaml);
});

test("unknown_key_names_its_line_and_column_and_the_nearest_key", () => {
  const error = failure("train:\n  max_steps: 3\n  leraning: 2\n  lr_: 1\n");
  expect(error.exitCode).toBe(2);
  expect(error.code).toBe("config_unknown_key");
  expect(error.what).toBe(`${join(dir, "bad.yaml")}:3:3: train.leraning`);
  expect(error.why).toContain("also:");
  expect(failure("train:\n  maxsteps: 3\n").fix).toContain("max_steps");
});

test("wrong_type_points_at_the_value_and_missing_key_at_its_section", () => {
  const wrong = failure("train:\n  max_steps: 3\n  lr: fast\n");
  expect(wrong.what).toBe(`${join(dir, "bad.yaml")}:3:7: train.lr`);
  expect(wrong.fix).toContain("Peak learning rate.");
  const missing = failure("name: x\ntrain:\n  lr: 0.1\n");
  expect(missing.code).toBe("config_missing_key");
  expect(missing.what).toBe(`${join(dir, "bad.yaml")}:2:1: train.max_steps`);
});

test("a_wrong_set_is_named_and_union_errors_are_of_the_option_meant", () => {
  expect(failure("train: {max_steps: 3}\n", ["train.lr=oops"]).what).toBe("--set train.lr=oops: train.lr");
  expect(failure("train: {max_steps: 3}\n", ["novalue"]).code).toBe("config_set");
  const union = failure("train: {max_steps: 3}\nlayers:\n  - kind: nsa\n    blok_size: 4\n");
  expect(union.what).toContain("layers.0");
});

test("syntax_missing_file_and_cycles_are_usage_errors", () => {
  expect(failure("a: [1\nb: 2").code).toBe("config_syntax");
  expect(() => loadConfig(schema, join(dir, "absent.yaml"))).toThrow(/no such file/);
  const loop = file("loop.yaml", "extends: loop.yaml\n");
  expect(() => loadConfig(schema, loop)).toThrow(/extends itself/);
});

test("variables_expand_with_fallback", () => {
  const text = "name: $" + "{NSA_TEST_ABSENT:-fallback}/x\ntrain: {max_steps: 1}\n";
  expect(loadConfig(schema, file("env.yaml", text)).config.name).toBe("fallback/x");
});

test("set_reaches_into_lists", () => {
  const text = "train: {max_steps: 1}\nlayers: [{kind: full, num_heads: 2}]\n";
  const { config } = loadConfig(schema, file("list.yaml", text), { set: ["layers.0.num_heads=8"] });
  expect(config.layers).toEqual([{ kind: "full", numHeads: 8 }]);
});

test("json_schema_and_explanation_use_file_names", () => {
  const json = configJsonSchema(schema, "stage") as any;
  expect(Object.keys(json.properties)).toEqual(["extends", "name", "train", "layers"]);
  expect(json.properties.train.required).toEqual(["max_steps"]);
  const rows = explainConfig(schema, "train");
  expect(rows.map((row) => row.path)).toEqual(["train", "train.lr", "train.max_steps", "train.weights"]);
  expect(rows[1]).toMatchObject({ type: "number", default: "0.001", required: false });
  expect(rows[2]).toMatchObject({ type: "integer", required: true, description: "Optimizer steps." });
});

test("explanation_of_a_list_shows_the_keys_of_its_elements", () => {
  const paths = (section: string) => explainConfig(schema, section).map((row) => row.path);
  expect(paths("layers")[0]).toBe("layers");
  expect(paths("layers").length).toBeGreaterThan(1);
  for (const named of ["layers[].kind", "layers.kind", "layers.0.kind"])
    expect(paths(named)).toEqual(["layers[].kind"]);
  expect(paths("layers.0")).toEqual(paths("layers"));
  expect(paths("layer")).toEqual([]);
  expect(paths("0")).toEqual([]);
});

test("sections_without_a_file_are_checked_too", () => {
  expect(parseConfig(schema, { train: { max_steps: 2 } }, "pipeline").train.maxSteps).toBe(2);
  expect(() => parseConfig(schema, {}, "pipeline")).toThrow(/pipeline: train/);
});

test("did_you_mean_is_silent_when_nothing_is_near", () => {
  expect(didYouMean("lerning_rate", ["learning_rate", "steps"])).toBe("learning_rate");
  expect(didYouMean("xyzzy", ["learning_rate", "steps"])).toBeUndefined();
});
