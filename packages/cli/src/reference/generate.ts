// Files that are made from the schemas and the command line, so that they cannot say something else.
import { configJsonSchema, ExitCode, explainConfig } from "@nsa/core";
import type { Command } from "commander";
import { loadSchema, RECIPES } from "../commands/recipes.ts";
import { buildProgram } from "../program.ts";

const MADE = "<!-- Made by `pnpm generate`; edit the schema or the command instead. -->\n";

const cell = (text: string) => text.replace(/\|/g, "\\|").replace(/\n/g, " ");
const code = (text: string) => (text === "" ? "" : `\`${text.replace(/`/g, "'")}\``);

function recipePage(kind: string, schema: never): string {
  const rows = explainConfig(schema).map((field) => {
    const value = field.required ? "required" : code(cell(field.default ?? ""));
    return `| ${code(field.path)} | ${cell(field.type)} | ${value} | ${cell(field.description)} |`;
  });
  return `${MADE}# Recipes of \`nsa ${kind}\`

Settings come from defaults, then \`extends:\`, then the file, then \`--set key=value\`. \`\${NAME}\` and
\`\${NAME:-fallback}\` in texts are replaced by environment variables. Schema for editors: \`schemas/${kind}.json\`.

| key | type | default | meaning |
|---|---|---|---|
${rows.join("\n")}
`;
}

/** Help of a command and of all below it. */
function helps(command: Command): string[] {
  // Fixed width: help must not depend on the terminal of whoever generates it.
  command.configureHelp({ helpWidth: 100 });
  const path: string[] = [];
  for (let at: Command | null = command; at; at = at.parent) path.unshift(at.name());
  const own = `## ${path.join(" ")}\n\n\`\`\`text\n${command.helpInformation().trim()}\n\`\`\`\n`;
  return [own, ...command.commands.flatMap(helps)];
}

function commandsPage(): string {
  const codes = Object.entries(ExitCode).map(([name, value]) => `| ${value} | ${name} |`);
  return `${MADE}# Commands

| exit code | meaning |
|---|---|
${codes.join("\n")}

${helps(buildProgram()).join("\n")}`;
}

/** Path from the root of the repository → content. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const kind of RECIPES) {
    const schema = (await loadSchema(kind)) as never;
    const json = configJsonSchema(schema, `nsa ${kind} recipe`);
    files.set(`schemas/${kind}.json`, `${JSON.stringify(json, null, 2)}\n`);
    files.set(`docs/reference/recipes/${kind}.md`, recipePage(kind, schema));
  }
  files.set("docs/reference/commands.md", commandsPage());
  return files;
}
