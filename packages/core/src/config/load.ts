// Loads a recipe: defaults < extends < file < --set, checked by the stage's strict schema.
import { stringify } from "yaml";
import type { z } from "zod";
import { ExitCode, NsaError } from "../errors.ts";
import { didYouMean } from "./did-you-mean.ts";
import { correction, plainWords } from "./plain-words.ts";
import { fieldsOf, type Schema, schemaAt, snakeCase, toCamel, toSnake } from "./schema-walk.ts";
import { assign, merge, type Plain, readSources, type Source, setSource } from "./source.ts";

export interface LoadedConfig<T> {
  /** Checked, with defaults filled in, camelCase. */
  config: T;
  /** The whole resolved config as a file would write it. */
  yaml: string;
  /** What a person should see of the recipe although it can be used. */
  remarks: string[];
}

/** Issues told besides the first: a wrong file would fill the screen with its keys. */
const SHOWN_ISSUES = 3;

type Issue = z.core.$ZodIssue;

/** Union errors come as one list per option: shows the option that fits best. */
function flatten(issues: readonly Issue[], prefix: readonly PropertyKey[] = []): Issue[] {
  return issues.flatMap((issue) => {
    const path = [...prefix, ...issue.path];
    if (issue.code === "invalid_union" && issue.errors.length > 0) {
      const depth = (list: readonly Issue[]) => Math.max(...list.map((i) => i.path.length));
      const best = [...issue.errors].sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0]!;
      return flatten(best, path);
    }
    if (issue.code === "unrecognized_keys" && issue.keys.length > 1)
      return issue.keys.map((key) => ({ ...issue, path, keys: [key] }) as Issue);
    return [{ ...issue, path } as Issue];
  });
}

/** A camelCase path as the file writes it: only keys that are schema fields change. */
function filePath(schema: Schema, path: readonly PropertyKey[]): PropertyKey[] {
  return path.map((part, i) => {
    const parent = schemaAt(schema, path.slice(0, i));
    return parent && typeof part === "string" && fieldsOf(parent).has(part) ? snakeCase(part) : part;
  });
}

/** What the data hold at a path. */
function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], data);
}

/** A `--set` whose braces or brackets YAML read as a mapping or as a list, quoted. */
function quoted(assignment: string): string {
  const at = assignment.indexOf("=");
  const value = JSON.stringify(assignment.slice(at + 1)).replaceAll("'", "'\\''");
  return `quote the text: '${assignment.slice(0, at)}=${value}'`;
}

const isMissing = (issue: Issue) => issue.code === "invalid_type" && /received undefined/.test(issue.message);

/** What a person does about an issue, by what the schema has of it. */
function fixOf(issue: Issue, dotted: string, why: string, about: string | undefined): string {
  // The nearest name is all there is to do, and the description of the key would bury it.
  const near = /; did you mean (.+)\?$/.exec(why)?.[1];
  if (near !== undefined) return `did you mean \`${near}\`?`;
  const described = about ? `\`${dotted}\`: ${about}` : undefined;
  const explain = described ?? `see \`nsa config explain\` for what \`${dotted}\` takes`;
  if (isMissing(issue)) return `give it, in the recipe or with \`--set ${dotted}=…\`; ${explain}`;
  const act = correction(issue);
  if (act === undefined) return explain;
  return described ? `${act}; ${described}` : act;
}

function describeIssue(
  schema: Schema,
  issue: Issue,
  { data, sources, file }: { data: unknown; sources: readonly Source[]; file: string },
) {
  const unknown = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const path = filePath(schema, unknown === undefined ? issue.path : [...issue.path, unknown]);
  const dotted = path.join(".");
  let place: string | undefined;
  for (const source of [...sources].reverse()) {
    place = source.locate(path, unknown !== undefined);
    if (place) break;
  }
  const what = `${place ?? file}: ${dotted || "config"}`;
  if (unknown !== undefined) {
    const parent = schemaAt(schema, issue.path);
    const known = parent ? [...fieldsOf(parent).keys()].map(snakeCase) : [];
    const near = didYouMean(unknown, known);
    const fix = near ? `did you mean \`${near}\`?` : `known keys here: ${known.join(", ")}`;
    return { code: "config_unknown_key", what, why: `unknown key \`${unknown}\``, fix };
  }
  const missing = isMissing(issue);
  const value = valueAt(data, issue.path);
  const why = missing ? "this key is required and not given" : plainWords(issue, value);
  const set = /^--set (.*)$/s.exec(place ?? "")?.[1];
  const wantsText = issue.code === "invalid_type" && issue.expected === "string";
  // A text within the value is not mended by quotes around the whole.
  if (set?.startsWith(`${dotted}=`) && wantsText && typeof value === "object" && value !== null) {
    const read = Array.isArray(value) ? "list" : "mapping";
    return {
      code: "config_invalid",
      what,
      why: `its value is a ${read} in YAML, and must be a text`,
      fix: quoted(set),
    };
  }
  const about = schemaAt(schema, issue.path)?.description;
  const fix = fixOf(issue, dotted, why, about);
  const cause = why.replace(/; did you mean .+\?$/, "");
  return { code: missing ? "config_missing_key" : "config_invalid", what, why: cause, fix };
}

function validate<S extends Schema>(schema: S, data: Plain, sources: readonly Source[], file: string) {
  const given = toCamel(schema, data);
  const result = schema.safeParse(given);
  if (result.success) return result.data as z.output<S>;
  const issues = flatten(result.error.issues);
  const from = { data: given, sources, file };
  const first = describeIssue(schema, issues[0]!, from);
  const others = issues.slice(1).map((issue) => {
    const { what, why, fix } = describeIssue(schema, issue, from);
    return `${what} (${why}${fix.startsWith("did you mean") ? `; ${fix}` : ""})`;
  });
  const shown = others.slice(0, SHOWN_ISSUES).join("; ");
  const more = others.length > SHOWN_ISSUES ? `; and ${others.length - SHOWN_ISSUES} more` : "";
  const why = others.length ? `${first.why}; also: ${shown}${more}` : first.why;
  throw new NsaError({ ...first, why, exitCode: ExitCode.usage, cause: result.error });
}

/** What the files and assignments come to, before any check. */
function readData(path: string | null, assignments: readonly string[] = []) {
  const sources = path === null ? [] : readSources(path);
  let data = sources.reduce<Plain>((all, source) => merge(all, source.data), {});
  for (const assignment of assignments) {
    const set = setSource(assignment);
    data = assign(data, set.path, set.value);
    sources.push(set.source);
  }
  return { data, sources };
}

/**
 * What a recipe says before its schema is known: the plugins that the schema may need, and every text in it (some name checkpoints,
 * which have plugins of their own). Throws NsaError config_* (exit 2).
 */
export function previewConfig(
  path: string | null,
  options: { set?: readonly string[] } = {},
): { plugins: string[]; texts: string[] } {
  const { data } = readData(path, options.set);
  const texts: string[] = [];
  const visit = (value: unknown): void => {
    if (typeof value === "string") texts.push(value);
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(visit);
  };
  visit(data);
  const { plugins } = data;
  const isText = (item: unknown): item is string => typeof item === "string";
  return { plugins: Array.isArray(plugins) ? plugins.filter(isText) : [], texts };
}

/**
 * Loads and checks a config file.
 * @param schema `z.strictObject` with camelCase keys; the file's keys are their snake_case
 * @param path the YAML file; null for a config made of defaults and `set` alone
 * @param options.set assignments `section.key=value`, applied last
 * @throws NsaError config_* (exit 2) with `file:line:column` and a suggestion
 */
export function loadConfig<S extends Schema>(
  schema: S,
  path: string | null,
  options: { set?: readonly string[] } = {},
): LoadedConfig<z.output<S>> {
  const { data, sources } = readData(path, options.set);
  const config = validate(schema, data, sources, path ?? "config");
  const remarks = sources.flatMap((source) => source.remarks ?? []);
  return { config, yaml: configYaml(schema, config), remarks };
}

/**
 * Whether a file is a recipe of this schema, as far as its keys and values go: required keys may be absent. Throws as reading the file does,
 * NsaError config_missing, config_syntax (exit 2).
 */
export function recipeFits(schema: Schema, path: string): boolean {
  const result = schema.safeParse(toCamel(schema, readData(path).data));
  return result.success || flatten(result.error.issues).every(isMissing);
}

/** Checks snake_case data that did not come from a file of its own (a section of a pipeline, a request). */
export function parseConfig<S extends Schema>(schema: S, data: Plain, origin: string): z.output<S> {
  return validate(schema, data, [], origin);
}

/** A config as its file would write it. */
export function configYaml(schema: Schema, config: unknown): string {
  return stringify(toSnake(schema, config), { lineWidth: 100 });
}
