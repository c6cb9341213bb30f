// `nsa config`: what a recipe may hold, and what it resolves to.

import { configJsonSchema, didYouMean, explainConfig, loadConfig, NsaError } from "@nsa/core";
import { loadPluginFiles, loadPluginsOfRecipe } from "../plugins/load.ts";
import { loadSchema } from "./recipes.ts";

/** A path whose last key is the one that was meant, e.g. train.optimizer.lr for lr. */
function nearestKey(section: string, paths: readonly string[]): string | undefined {
  const last = (path: string) => path.split(".").at(-1)!;
  const key = didYouMean(last(section), paths.map(last));
  return key === undefined ? undefined : paths.find((path) => last(path) === key);
}

/** One setting per paragraph: path, type and default, then its meaning. */
export async function explain(kind: string, section: string, plugins: readonly string[]): Promise<void> {
  await loadPluginFiles(plugins);
  const schema = await loadSchema(kind);
  const fields = explainConfig(schema as never, section);
  if (fields.length === 0) {
    const paths = explainConfig(schema as never).map(({ path }) => path);
    const near = didYouMean(section, paths) ?? nearestKey(section, paths);
    throw new NsaError({
      code: "section_unknown",
      what: `no setting "${section}" in ${kind} recipes`,
      why: "it names neither a section nor a key",
      fix: near ? `did you mean ${near}?` : `\`nsa config explain ${kind}\` lists all of them`,
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
