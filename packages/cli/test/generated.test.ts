// Generated files are what the schemas and commands say, and every setting says what it is.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { explainConfig, undescribedFields } from "@nsa/core";
import { expect, test } from "vitest";
import { completionScript } from "../src/commands/completion.ts";
import { loadSchema, RECIPES } from "../src/commands/recipes.ts";
import { buildProgram } from "../src/program.ts";
import { generatedFiles } from "../src/reference/generate.ts";
import { nsa, root } from "./built.ts";

const files = await generatedFiles();

test.each([...files.keys()])("%s_is_fresh_else_run_pnpm_generate", (path) => {
  expect(readFileSync(join(root, path), "utf8")).toBe(files.get(path));
});

test("schemas_holds_nothing_else", () => {
  const made = [...files.keys()].filter((path) => path.startsWith("schemas/")).map((path) => path.slice(8));
  expect(readdirSync(join(root, "schemas")).sort()).toEqual(made.sort());
});

test.each(RECIPES)("every_setting_of_%s_has_a_description", async (kind) => {
  expect(undescribedFields((await loadSchema(kind)) as never)).toEqual([]);
});

test("explain_prints_the_default_and_meaning_of_a_section", async () => {
  const run = nsa(["config", "explain", "grpo", "algorithm"]);
  const fields = explainConfig((await loadSchema("grpo")) as never, "algorithm");
  expect(fields.length).toBeGreaterThan(5);
  for (const { path, description } of fields) {
    expect(run.stdout).toContain(path);
    expect(run.stdout).toContain(description);
  }
});

test("explain_of_an_unknown_kind_or_section_ends_with_2", () => {
  expect(nsa(["config", "explain", "pretrian"]).status).toBe(2);
  expect(nsa(["config", "explain", "pretrain", "modle"]).status).toBe(2);
});

/** What bash offers after the words, the last of them unfinished. */
function offered(...words: string[]): string[] {
  const script = `${completionScript(buildProgram(), "bash")}
COMP_WORDS=(nsa ${words.map((w) => `'${w}'`).join(" ")}); COMP_CWORD=${words.length}; _nsa; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const run = spawnSync("bash", ["-c", script], { encoding: "utf8", cwd: root });
  expect(run.stderr).toBe("");
  return run.stdout.trim().split("\n");
}

test("completion_follows_the_commands_options_and_files", () => {
  expect(offered("pre")).toEqual(["pretrain"]);
  expect(offered("runs", "").slice(0, 4)).toEqual(["ls", "show", "path", "compare"]);
  expect(offered("pretrain", "--re")).toEqual(["--resume"]);
  expect(offered("pretrain", "packa").sort()).toEqual(["package.json", "packages"]);
});

test("each_shell_gets_a_script_that_names_every_command", () => {
  for (const shell of ["bash", "zsh", "fish"] as const) {
    const script = completionScript(buildProgram(), shell);
    for (const command of buildProgram().commands) expect(script, shell).toContain(command.name());
  }
  expect(nsa(["completion", "tcsh"]).status).toBe(2);
});
