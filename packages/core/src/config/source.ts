// Where config data come from: YAML files (with `extends:`) and `--set`, and the place of every value.
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument, visit } from "yaml";
import { ExitCode, NsaError } from "../errors.ts";
import { readText } from "../read-text.ts";

export type Plain = Record<string, unknown>;

export interface Source {
  data: Plain;
  /** Paths of the file that two files could be meant by. */
  remarks?: string[];
  /** `file:line:column` of a snake_case path (of its key, or its nearest ancestor that is there), or undefined. */
  locate(path: readonly PropertyKey[], onKey: boolean): string | undefined;
}

function usage(code: string, what: string, why: string, fix: string): NsaError {
  return new NsaError({ code, what, why, fix, exitCode: ExitCode.usage });
}

/** `${NAME}` and `${NAME:-fallback}` in strings, so that recipes can name data folders. */
function expandVariables(document: Document): void {
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value !== "string") return;
      node.value = node.value.replace(
        /\$\{(\w+)(?::-([^}]*))?\}/g,
        (all, name: string, fallback?: string) => process.env[name] ?? fallback ?? all,
      );
    },
  });
}

function locator(file: string, document: Document, lines: LineCounter): Source["locate"] {
  return (path, onKey) => {
    for (let depth = path.length; depth >= 0; depth--) {
      const parent = document.getIn(path.slice(0, depth - 1), true);
      const key = path[depth - 1];
      let node: unknown = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
      if (depth > 0 && isMap(parent) && (onKey || depth < path.length || !isNode(node))) {
        const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === key);
        node = pair?.key;
      }
      if (isNode(node) && node.range) {
        const { line, col } = lines.linePos(node.range[0]);
        if (depth === path.length) return `${file}:${line}:${col}`;
        return depth === 0 ? undefined : `${file}:${line}:${col}`;
      }
    }
    return undefined;
  };
}

function absolutePaths(value: unknown, folder: string): unknown {
  if (typeof value === "string") return resolve(folder, value);
  return Array.isArray(value) ? value.map((item) => absolutePaths(item, folder)) : value;
}

/** Keys whose paths are taken from the folder of the file that names them. */
const BESIDE_FILE: readonly (readonly string[])[] = [["plugins"], ["iterations", "reward_model", "recipe"]];

function besideFile(data: Plain, file: string): Plain {
  const at = (value: unknown, path: readonly string[]): unknown => {
    const [key, ...rest] = path;
    if (key === undefined) return absolutePaths(value, dirname(file));
    return isPlain(value) && key in value ? { ...value, [key]: at(value[key], rest) } : value;
  };
  return BESIDE_FILE.reduce<Plain>((all, path) => at(all, path) as Plain, data);
}

/** Keys of every recipe whose texts are folders of checkpoints, or name runs that have some. */
export const CHECKPOINT_KEYS: ReadonlySet<string> = new Set([
  "checkpoint",
  "init",
  "init_from",
  "reference",
  "reward_model",
  "teacher",
  "ensemble",
]);

/** Keys whose texts are files or folders that a run reads. */
const INPUT_KEYS = new Set([
  ...CHECKPOINT_KEYS,
  ...["tokenizer", "file", "files", "history", "examples"],
  ...["shards", "data_dir", "inputs", "seeds", "benchmarks", "recipe", "plans"],
]);

/** A run's own config.yaml names what its start has found, seen from the folder it was started in. */
const isRunFolder = (folder: string) => existsSync(join(folder, "env.json"));

/** The part of a path before its first pattern. */
const fixedPart = (path: string) => (path.includes("*") ? dirname(`${path.split("*")[0]}x`) : path);

/**
 * Relative paths of inputs that are not there from the working folder, and are beside the recipe, become the latter. Where both are there
 * the working folder's is taken, as ever, with a remark.
 */
function inputsBeside(value: unknown, folder: string, key: string, remarks: string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => inputsBeside(item, folder, key, remarks));
  if (isPlain(value))
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, inputsBeside(item, folder, name, remarks)]),
    );
  if (typeof value !== "string" || value === "" || value.startsWith("/") || !INPUT_KEYS.has(key))
    return value;
  const beside = resolve(folder, value);
  if (beside === resolve(value) || !existsSync(fixedPart(beside))) return value;
  if (!existsSync(fixedPart(value))) return beside;
  remarks.push(
    `${key}: ${value} is taken from the working folder (${resolve(value)}), and there is one beside the recipe, too (${beside})`,
  );
  return value;
}

const syntaxError = (place: string, why: string) =>
  usage("config_syntax", place, why, "correct the YAML there (indentation, colons, quotes)");

function parseYaml(text: string, file: string, lines: LineCounter): Document {
  let document: Document;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  } catch (error) {
    // Nested too deeply for the parser's stack.
    throw syntaxError(`${file}:1:1`, (error as Error).message);
  }
  const problem = document.errors[0];
  if (!problem) return document;
  const { line, col } = lines.linePos(problem.pos[0]);
  throw syntaxError(`${file}:${line}:${col}`, problem.message);
}

/** The value, if no key of it would change what an object is. Throws an Error. */
function ordinary<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const [key, inner] of Object.entries(value)) {
    if (key === "__proto__") throw new Error("no key may be called __proto__");
    ordinary(inner);
  }
  return value;
}

/** The value of a document: aliases without an anchor, or too many of them, are found only here. */
function plainValue(document: Document, file: string): unknown {
  try {
    expandVariables(document);
    return ordinary(document.toJS() ?? {});
  } catch (error) {
    throw syntaxError(file, (error as Error).message);
  }
}

/** Reads one YAML file. @throws NsaError config_missing, config_syntax (exit 2) */
function readSource(file: string): Source {
  let text: string;
  try {
    text = readText(file);
  } catch (error) {
    if (error instanceof NsaError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: "there is no such file",
      EISDIR: "it is a folder, and a recipe is a file",
      EACCES: "you may not read it",
      ENOTDIR: "a part of the path is a file",
    };
    const why = reasons[code ?? ""] ?? message;
    throw usage("config_missing", `cannot read ${file}`, why, "name a recipe, e.g. one of those in configs/");
  }
  const lines = new LineCounter();
  const document = parseYaml(text, file, lines);
  const data = plainValue(document, file);
  if (typeof data !== "object" || Array.isArray(data))
    throw usage(
      "config_shape",
      `${file}:1:1`,
      "a config is a mapping of keys to values",
      "write `key: value`",
    );
  const remarks: string[] = [];
  const found = isRunFolder(dirname(file)) ? data : inputsBeside(data, dirname(file), "", remarks);
  return { data: besideFile(found as Plain, file), remarks, locate: locator(file, document, lines) };
}

/** The file's sources, base files of `extends:` first. @throws NsaError config_extends_cycle (exit 2) */
export function readSources(file: string, seen: readonly string[] = []): Source[] {
  const absolute = resolve(file);
  if (seen.includes(absolute))
    throw usage("config_extends_cycle", file, "it extends itself", "remove one of the `extends:` lines");
  const source = readSource(file);
  const { extends: bases, ...data } = source.data;
  source.data = data;
  const list = bases === undefined ? [] : Array.isArray(bases) ? bases : [bases];
  for (const base of list)
    if (typeof base !== "string")
      throw usage(
        "config_extends",
        source.locate(["extends"], false) ?? file,
        "`extends` takes a path or a list of paths",
        "write `extends: base.yaml`",
      );
  const inherited = (list as string[]).flatMap((base) => {
    const path = base.startsWith("/") ? base : `${dirname(file)}/${base}`;
    return readSources(path, [...seen, absolute]);
  });
  return [...inherited, source];
}

/** A `--set train.steps=100`; the value is read as YAML. @throws NsaError config_set (exit 2) */
export function setSource(assignment: string): { path: string[]; value: unknown; source: Source } {
  const at = assignment.indexOf("=");
  const wrong = (why: string) =>
    usage(
      "config_set",
      `--set ${assignment}`,
      why,
      "write --set section.key=value, for example --set train.steps=100",
    );
  if (at < 1) throw wrong("there is no key or no `=`");
  const path = assignment.slice(0, at).split(".");
  if (path.includes("") || path.includes("__proto__"))
    throw wrong("a part of the key is empty, or __proto__");
  let given: unknown;
  try {
    // What the value is, is found out below; the parser's own warnings would stand beside it.
    const document = parseDocument(assignment.slice(at + 1), { logLevel: "error" });
    if (document.errors.length) throw new Error("not YAML");
    given = ordinary(document.toJS());
  } catch {
    const text = JSON.stringify(assignment.slice(at + 1)).replaceAll("'", "'\\''");
    throw usage(
      "config_set",
      `--set ${assignment}`,
      "its value is read as YAML, and is none",
      `quote a text: --set '${assignment.slice(0, at)}=${text}'`,
    );
  }
  const value = path[0] === "plugins" ? absolutePaths(given, ".") : given;
  const locate: Source["locate"] = (wanted) =>
    path.every((part, i) => i >= wanted.length || String(wanted[i]) === part)
      ? `--set ${assignment}`
      : undefined;
  return { path, value, source: { data: {}, locate } };
}

const isPlain = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Lays `over` on `base`: mappings merge, everything else (lists too) is replaced. */
export function merge(base: Plain, over: Plain): Plain {
  const out: Plain = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = out[key];
    out[key] = isPlain(old) && isPlain(value) ? merge(old, value) : value;
  }
  return out;
}

/** Sets a value at a dotted path; numbers index lists. */
export function assign(data: Plain, path: readonly string[], value: unknown): Plain {
  const [head, ...rest] = path as [string, ...string[]];
  const old = data[head];
  if (rest.length === 0) return { ...data, [head]: value };
  if (Array.isArray(old)) {
    const copy: Plain = { ...old };
    return { ...data, [head]: Object.values(assign(copy, rest, value)) };
  }
  return { ...data, [head]: assign(isPlain(old) ? old : {}, rest, value) };
}
