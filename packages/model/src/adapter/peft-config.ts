// adapter_config.json of PEFT: our settings from it and to it. What changes what is computed and is not served is refused by its name.
import { ExitCode, NsaError } from "@nsa/core";
import type { ModelConfig } from "../config/schema.ts";
import { layoutOf } from "../parameters/layout.ts";
import { type AdapterSize, adapterSize, type LoraConfig } from "./config.ts";

/** Rank and α of each adapted layer by its path. */
export type AdapterSizes = ReadonlyMap<string, Pick<AdapterSize, "rank" | "alpha">>;

type Json = Record<string, unknown>;

function refuse(what: string, why: string, fix: string): never {
  throw new NsaError({ code: "peft_unsupported", what, why, fix, exitCode: ExitCode.unavailable });
}

export function invalidPeft(what: string, why: string): NsaError {
  return new NsaError({
    code: "peft_invalid",
    what,
    why,
    fix: "name a folder that PEFT's save_pretrained wrote, for this base",
    exitCode: ExitCode.data,
  });
}

/** Paths of the linear layers of a model without adapters, in order. */
export function linearPaths(config: ModelConfig): string[] {
  const { segments } = layoutOf({ ...config, lora: undefined });
  const linear = segments.flat().filter((w) => w.linear);
  return linear.flatMap((w) => w.parts.map(({ name }) => name.replace(/\.weight$/, "")));
}

/** The shortest end of `path` that names none of `all` but members of `group`; else the path itself. */
function shortestEnd(path: string, group: ReadonlySet<string>, all: readonly string[]): string {
  const parts = path.split(".");
  for (let n = 1; n < parts.length; n++) {
    const end = parts.slice(-n).join(".");
    // `layers.0.…`, not `0.…`.
    if (/^\d/.test(end)) continue;
    if (all.every((other) => group.has(other) || !`.${other}`.endsWith(`.${end}`))) return end;
  }
  return path;
}

/** Our settings for these adapters: layers of one size are named together where their names allow it. */
export function loraOf(
  sizes: AdapterSizes,
  all: readonly string[],
  rest: { rank: number; alpha: number; scaling: LoraConfig["scaling"] },
): LoraConfig {
  const targets = new Map<string, LoraConfig["targets"][number]>();
  for (const [path, { rank, alpha }] of sizes) {
    const same = [...sizes].filter(([, s]) => s.rank === rank && s.alpha === alpha).map(([other]) => other);
    const name = shortestEnd(path, new Set(same), all);
    const plain = rank === rest.rank && alpha === rest.alpha;
    targets.set(name, plain ? name : { name, rank, alpha });
  }
  return { ...rest, targets: [...targets.values()] };
}

/** Keys without effect on what is computed once the tensors are there, and those that are read. */
const HARMLESS = new Set(
  (
    "peft_type task_type base_model_name_or_path revision auto_mapping inference_mode r lora_alpha lora_dropout target_modules " +
    "exclude_modules rank_pattern alpha_pattern use_rslora init_lora_weights peft_version ensure_weight_tying qalora_group_size " +
    "lora_ga_config eva_config corda_config loftq_config runtime_config megatron_core layers_to_transform layers_pattern"
  ).split(" "),
);

/** Values that leave a key without effect. */
const neutral = (value: unknown) =>
  value === undefined ||
  value === null ||
  value === false ||
  value === "none" ||
  (Array.isArray(value) && value.length === 0) ||
  (typeof value === "object" && Object.keys(value).length === 0);

/** Ways to begin that change the base's weights, too: the adapter belongs to weights that the base does not have. */
const CHANGES_BASE = /^(pissa|olora|loftq|corda|lora_ga)/;

const WHY: Record<string, string> = {
  use_dora: "DoRA scales the columns of the weight beside adding to it",
  bias: "it also trains biases",
  modules_to_save: "it brings trained copies of whole layers",
  fan_in_fan_out: "weights are stored the other way round",
  lora_bias: "its B has a bias",
};

/**
 * A pattern of Python's `re` that must match the end of a path after a dot. Named groups are rewritten; what JavaScript does not have, or
 * would read otherwise (`\Z`, `(?i)`, possessive quantifiers), is a syntax error under the flag `u`.
 */
function pythonPattern(what: string, key: string): RegExp {
  const source = key.replaceAll("(?P<", "(?<").replace(/\(\?P=(\w+)\)/g, "\\k<$1>");
  try {
    // By itself first: `a)|(b` must not close the group around it.
    new RegExp(source, "u");
    return new RegExp(`^(.*\\.)?(${source})$`, "u");
  } catch (cause) {
    throw invalidPeft(
      `${what}: ${JSON.stringify(key)}`,
      `it cannot be read as a pattern: ${(cause as Error).message}`,
    );
  }
}

/**
 * The numbers of a pattern table by a layer's path: PEFT takes the first key that matches. Throws NsaError `peft_invalid` (exit 3) where
 * it is no table of numbers above 0, or a key no pattern.
 */
function patternTable(json: Json, key: string, whole: boolean): (path: string) => number | undefined {
  const table = json[key] ?? {};
  const what = `${key} of adapter_config.json`;
  if (typeof table !== "object" || Array.isArray(table))
    throw invalidPeft(what, `${JSON.stringify(table)} is no table of patterns`);
  const entries = Object.entries(table).map(([pattern, value]) => {
    const fits = typeof value === "number" && value > 0 && (!whole || Number.isInteger(value));
    if (!fits) {
      const wanted = whole ? "whole number" : "number";
      throw invalidPeft(
        `${what}: ${JSON.stringify(pattern)}`,
        `${JSON.stringify(value)} is no ${wanted} above 0`,
      );
    }
    return { pattern: pythonPattern(what, pattern), value };
  });
  return (path) => entries.find(({ pattern }) => pattern.test(path))?.value;
}

function positive(json: Json, key: string): number {
  const value = json[key];
  if (typeof value === "number" && value > 0) return value;
  throw invalidPeft(`${key} of adapter_config.json`, `${JSON.stringify(value)} is no number above 0`);
}

/**
 * Rank, α and scaling of the layers of adapter_config.json; `ranks`: rows of each layer's A. Throws NsaError `peft_unsupported` (exit 4)
 * for a setting that is not served, `peft_invalid` (exit 3).
 */
export function fromPeftConfig(
  json: Json,
  ranks: ReadonlyMap<string, number>,
): { sizes: AdapterSizes; rest: { rank: number; alpha: number; scaling: LoraConfig["scaling"] } } {
  if (json.peft_type !== "LORA")
    refuse(
      `peft_type ${JSON.stringify(json.peft_type)}`,
      "adapters of type LORA are served",
      "convert it first",
    );
  for (const [key, value] of Object.entries(json)) {
    if (HARMLESS.has(key) || neutral(value)) continue;
    refuse(
      `${key} of adapter_config.json`,
      `${WHY[key] ?? "what it changes is not served"}; it is ${JSON.stringify(value)?.slice(0, 60)}`,
      "merge the adapter in PEFT (merge_and_unload) and import the whole model",
    );
  }
  const begin = json.init_lora_weights;
  if (typeof begin === "string" && CHANGES_BASE.test(begin))
    refuse(
      `init_lora_weights ${begin}`,
      "it changes the base's weights when training begins, and the base here has the first ones",
      "convert it in PEFT (save_pretrained with path_initial_model_for_weight_conversion), or merge it",
    );
  const [rank, alpha] = [positive(json, "r"), positive(json, "lora_alpha")];
  const rankOf = patternTable(json, "rank_pattern", true);
  const alphaOf = patternTable(json, "alpha_pattern", false);
  const sizes = new Map(
    [...ranks].map(([path, rows]) => {
      const wanted = rankOf(path) ?? rank;
      if (wanted !== rows)
        throw invalidPeft(
          `rank of ${path}`,
          `it is ${wanted} in adapter_config.json, and its A has ${rows} rows`,
        );
      return [path, { rank: rows, alpha: alphaOf(path) ?? alpha }] as const;
    }),
  );
  return { sizes, rest: { rank, alpha, scaling: json.use_rslora === true ? "rslora" : "standard" } };
}

/** adapter_config.json of a model with adapters. */
export function toPeftConfig(config: ModelConfig, base: string): Json {
  const lora = config.lora!;
  const all = linearPaths(config);
  const sizes = new Map(
    all.flatMap((path) => {
      const size = adapterSize(lora, path);
      return size ? [[path, size] as const] : [];
    }),
  );
  const adapted = new Set(sizes.keys());
  const others = (key: "rank" | "alpha") =>
    Object.fromEntries([...sizes].flatMap(([path, s]) => (s[key] === lora[key] ? [] : [[path, s[key]]])));
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    target_modules: [...new Set([...adapted].map((path) => shortestEnd(path, adapted, all)))],
    rank_pattern: others("rank"),
    alpha_pattern: others("alpha"),
    use_rslora: lora.scaling === "rslora",
    use_dora: false,
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
    modules_to_save: null,
    layers_to_transform: null,
    layers_pattern: null,
  };
}
