// `nsa config`: what a recipe may hold, and what it resolves to.

import { configJsonSchema, explainConfig, loadConfig, NsaError } from "@nsa/core";
import { loadPluginFiles, loadPluginsOfRecipe } from "../plugins/load.ts";
import { loadSchema } from "./recipes.ts";

/** One setting per paragraph: path, type and default, then its meaning. */
export async function explain(kind: string, section: string, plugins: readonly string[]): Promise<void> {
  await loadPluginFiles(plugins);
  const schema = await loadSchema(kind);
  const fields = explainConfig(schema as never, section);
  if (fields.length === 0) {
    throw new NsaError({
      code: "section_unknown",
      what: `no setting "${section}" in ${kind} recipes`,
      why: "it names neither a section nor a key",
      fix: `\`nsa config explain ${kind}\` lists all of them`,
      exitCode: 2,
    });
  }
  for (const field of fields) {
    const value = field.required ? "required" : field.default === undefined ? "" : `default ${field.default}`;
    console.log(`${field.path}  (${[field.type, value].filter(Boolean).join(", ")})`);
    if (field.description) console.log(`    ${field.description}`);
  }
}

export async function printConfig(kind: string, file: string | undefined, set: string[]): Promise<void> {
  await loadPluginsOfRecipe(file ?? null, { set });
  const schema = await loadSchema(kind);
  process.stdout.write(loadConfig(schema as never, file ?? null, { set }).yaml);
}

/** JSON Schema for editors. */
export async function printSchema(kind: string, plugins: readonly string[]): Promise<void> {
  await loadPluginFiles(plugins);
  const schema = await loadSchema(kind);
  console.log(JSON.stringify(configJsonSchema(schema as never, `nsa ${kind} recipe`), null, 2));
}
