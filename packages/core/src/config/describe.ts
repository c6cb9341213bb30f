// What a schema says about itself: JSON Schema files and rows for `nsa config explain` and the reference docs.
import { z } from "zod";
import { registeredNames } from "../registry.ts";
import { defOf, fieldsOf, type Schema, snakeCase, unwrap } from "./schema-walk.ts";

type Json = Record<string, unknown>;

function snakeKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeKeys);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [snakeCase(key), snakeKeys(item)]));
}

/** Renames property names to snake_case wherever a JSON Schema states them. */
function snakeSchema(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(snakeSchema);
  if (node === null || typeof node !== "object") return node;
  const out: Json = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === "properties")
      out[key] = Object.fromEntries(
        Object.entries(value as Json).map(([name, inner]) => [snakeCase(name), snakeSchema(inner)]),
      );
    else if (key === "required") out[key] = (value as string[]).map(snakeCase);
    else if (key === "default") out[key] = snakeKeys(value);
    else if (key === "enum" || key === "const" || key === "description") out[key] = value;
    else out[key] = snakeSchema(value);
  }
  return out;
}

/** The kind of member that a setting names, for schemas made by `memberName`. */
const registryOf = (schema: Schema) => schema.meta()?.registry as string | undefined;

/** JSON Schema of the files that a stage reads, for editors; includes `extends`. */
export function configJsonSchema(schema: Schema, title: string): Json {
  const json = snakeSchema(
    z.toJSONSchema(schema, {
      io: "input",
      unrepresentable: "any",
      override: ({ jsonSchema }) => {
        const { registry } = jsonSchema as { registry?: unknown };
        if (typeof registry !== "string") return;
        delete (jsonSchema as { registry?: unknown }).registry;
        jsonSchema.enum = registeredNames(registry);
      },
    }),
  ) as Json;
  const paths = [{ type: "string" }, { type: "array", items: { type: "string" } }];
  json.title = title;
  json.properties = {
    extends: { description: "Base file or files.", anyOf: paths },
    ...(json.properties as Json),
  };
  return json;
}

export interface ConfigField {
  /** Dotted snake_case path; `[]` stands for the elements of a list. */
  path: string;
  type: string;
  /** Default as YAML would write it; undefined where the key is required or plainly optional. */
  default?: string;
  required: boolean;
  description: string;
}

function typeName(schema: Schema): string {
  const inner = unwrap(schema);
  const def = defOf(inner);
  const registry = registryOf(inner);
  if (registry !== undefined) return registeredNames(registry).join(" | ");
  if (def.type === "enum") return Object.values(def.entries!).join(" | ");
  if (def.type === "literal") return def.values!.map(String).join(" | ");
  if (def.type === "array") return `list of ${typeName(def.element!)}`;
  if (def.type === "record") return `mapping of ${typeName(def.valueType!)}`;
  if (def.type === "object") return "section";
  if (def.type === "union") return [...new Set(def.options!.map(typeName))].join(" | ");
  if (def.type === "number" && (inner as unknown as { format?: string | null }).format === "safeint")
    return "integer";
  return def.type;
}

function defaultOf(schema: Schema): unknown {
  const def = defOf(schema);
  if (def.type === "default" || def.type === "prefault") return def.defaultValue;
  return def.innerType ? defaultOf(def.innerType) : undefined;
}

function descriptionOf(schema: Schema): string {
  const def = defOf(schema);
  return schema.description ?? (def.innerType ? descriptionOf(def.innerType) : "");
}

function listFields(schema: Schema, prefix: string, out: ConfigField[]): void {
  for (const [key, variants] of fieldsOf(schema)) {
    const field = variants[0]!;
    const path = prefix + snakeCase(key);
    const fallback = defaultOf(field);
    out.push({
      path,
      type: [...new Set(variants.map(typeName))].join(" | "),
      default: fallback === undefined ? undefined : JSON.stringify(snakeKeys(fallback)),
      required: variants.every((variant) => !variant.safeParse(undefined).success),
      description: descriptionOf(field),
    });
    for (const variant of variants.slice(0, 1)) {
      const inner = unwrap(variant);
      const def = defOf(inner);
      if (def.type === "array") listFields(def.element!, `${path}[].`, out);
      else listFields(inner, `${path}.`, out);
    }
  }
}

/** A path without what picks an element of a list: `rewards[].kind` and `rewards.0.kind` are `rewards.kind`. */
function withoutElements(path: string): string {
  return path
    .replaceAll("[]", "")
    .split(".")
    .filter((key) => !/^\d+$/.test(key))
    .join(".");
}

/**
 * Every key below `section` (dotted, snake_case; empty for all) with type, default and description. A list's keys are
 * those of its elements, which may be named as --set does: `rewards`, `rewards[].kind`, `rewards.0.kind`.
 */
export function explainConfig(schema: Schema, section = ""): ConfigField[] {
  const all: ConfigField[] = [];
  listFields(schema, "", all);
  const wanted = withoutElements(section);
  if (wanted === "") return section === "" ? all : [];
  return all.filter(({ path }) => `${withoutElements(path)}.`.startsWith(`${wanted}.`));
}

/** Paths of fields without a description: a schema that is complete has none. */
export function undescribedFields(schema: Schema): string[] {
  return explainConfig(schema)
    .filter((field) => field.description === "")
    .map((field) => field.path);
}
