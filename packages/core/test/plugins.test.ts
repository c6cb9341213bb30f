// Plugins: what is registered, and one clear error for each way in which a file can be wrong.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  changedPlugins,
  loadCheckpointPlugins,
  loadConfig,
  loadedPlugins,
  loadPlugins,
  NsaError,
  Registry,
  shareModules,
  stageKinds,
  withPlugins,
} from "../src/index.ts";

interface Loss {
  name: string;
  of(x: number): number;
}

const losses = new Registry<Loss>("loss", { needs: { of: "function" } }).register({
  name: "square",
  of: (x) => x * x,
});
const HOST = Symbol("host");
shareModules(async () => ({ "the-host": { HOST, twice: (x: number) => 2 * x }, zod: { z } }));

const dir = mkdtempSync(join(tmpdir(), "nsa-plugins-"));

function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

async function failure(path: string): Promise<NsaError> {
  const error = await loadPlugins([path]).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error, path).toBeInstanceOf(NsaError);
  expect((error as NsaError).what).toContain(path);
  return error as NsaError;
}

test("a_plugin_is_registered_by_the_process_that_loads_it_and_shares_its_modules", async () => {
  const own = file("helper.ts", "export const three: number = 3;");
  const path = file(
    "cubic.ts",
    `import { HOST, twice } from "the-host";
import { three } from "./helper.ts";
export default [
  { kind: "loss", name: "cubic", of: (x: number) => x ** three, host: HOST },
  { kind: "loss", name: "double", of: twice },
];`,
  );
  expect(own).not.toBe(path);
  await loadPlugins([path]);
  expect(losses.names).toEqual(["square", "cubic", "double"]);
  expect([losses.get("cubic").of(5), losses.get("double").of(5)]).toEqual([125, 10]);
  expect((losses.get("cubic") as unknown as { host: symbol }).host).toBe(HOST);
  // Naming it again, as every child and every recipe of a pipeline does, changes nothing.
  await loadPlugins([path]);
  expect(loadedPlugins().map(({ members }) => members)).toEqual([["loss cubic", "loss double"]]);
});

const stageText = `import { z } from "zod";
const parts = { about: "x", run() {}, estimate: () => ({}), plannedOutputs: () => ({}) };
export default { kind: "stage", ...parts, `;

for (const [fault, text, code, exitCode, why] of [
  [
    "syntax",
    "export default {\n  kind: ",
    "plugin_invalid",
    2,
    /cannot be loaded: .*2:|cannot be loaded: SyntaxError|ParseError/,
  ],
  ["throws", "throw new RangeError('no luck');", "plugin_invalid", 2, /RangeError: no luck/],
  ["imports_nothing", 'import "./nowhere.ts";\nexport default {};', "plugin_invalid", 2, /nowhere/],
  ["no_default", "export const loss = 1;", "plugin_invalid", 2, /no default export/],
  ["function", "export default () => 1;", "plugin_invalid", 2, /not a definition/],
  ["empty", "export default [];", "plugin_invalid", 2, /empty list/],
  ["unknown_kind", 'export default { kind: "losses", name: "x" };', "plugin_invalid", 2, /kind "losses"/],
  ["no_kind", 'export default { name: "x" };', "plugin_invalid", 2, /kind undefined/],
  ["no_name", 'export default { kind: "loss" };', "plugin_invalid", 2, /no name/],
  [
    "taken",
    'export default { kind: "loss", name: "square", of: () => 0 };',
    "registry_name_taken",
    2,
    /defined twice/,
  ],
  [
    "incomplete",
    'export default { kind: "loss", name: "half" };',
    "registry_member_incomplete",
    2,
    /lacks `of`/,
  ],
  [
    "stage_name",
    `${stageText}name: "a-b", schema: z.strictObject({}) };`,
    "stage_invalid",
    2,
    /run folders begin/,
  ],
  ["stage_schema", `${stageText}name: "ab", schema: z.string() };`, "stage_invalid", 2, /not an object/],
  ["no_registry", 'export default { kind: "head", name: "x" };', "plugin_kind_unavailable", 4, /kind head/],
] as const) {
  test(`a_plugin_with_the_fault_${fault}_is_refused_with_its_path_and_reason`, async () => {
    const before = losses.names;
    const error = await failure(file(`${fault}.ts`, text));
    expect([error.code, error.exitCode]).toEqual([code, exitCode]);
    expect(error.why).toMatch(why);
    expect(losses.names).toEqual(before);
  });
}

test("a_definition_may_be_an_instance_of_a_class", async () => {
  const text = `class Power {
  kind = "loss";
  constructor(readonly name: string, readonly n: number) {}
  of(x: number) { return x ** this.n; }
}
export default [new Power("fourth", 4), new Power("fifth", 5)];`;
  await loadPlugins([file("powers.ts", text)]);
  expect([losses.get("fourth").of(3), losses.get("fifth").of(2)]).toEqual([81, 32]);
});

test("a_stage_of_a_plugin_is_adopted_whole_and_its_recipes_may_name_plugins", async () => {
  await loadPlugins([
    file("ok.ts", `${stageText}name: "own_stage", schema: z.strictObject({ n: z.number() }) };`),
  ]);
  const stage = stageKinds.get("own_stage");
  expect(stage.about).toBe("x");
  expect(stage.schema.safeParse({ n: 1, plugins: ["a.ts"] }).success).toBe(true);
  expect(stage.schema.safeParse({ n: 1, plugin: ["a.ts"] }).success).toBe(false);
});

test("a_plugin_that_is_not_there_is_refused", async () => {
  const error = await failure(join(dir, "gone.ts"));
  expect([error.code, error.exitCode]).toEqual(["plugin_missing", 2]);
});

test("paths_of_plugins_are_taken_from_the_folder_of_the_recipe_that_names_them", () => {
  mkdirSync(join(dir, "base"));
  file("base/base.yaml", "plugins: [one.ts, sub/two.ts]\n");
  const schema = withPlugins(z.strictObject({ steps: z.number().default(1).describe("Steps") }));
  const read = (path: string, set: string[] = []) =>
    (loadConfig(schema, path, { set }).config as { plugins?: string[] }).plugins;
  expect(read(file("derived.yaml", "extends: base/base.yaml\n"))).toEqual([
    join(dir, "base/one.ts"),
    join(dir, "base/sub/two.ts"),
  ]);
  const own = file("own.yaml", "extends: base/base.yaml\nplugins: [three.ts]\n");
  expect(read(own)).toEqual([join(dir, "three.ts")]);
  expect(read(own, ["plugins=[four.ts]"])).toEqual([join(process.cwd(), "four.ts")]);
  expect(read(file("none.yaml", "steps: 2\n"))).toBeUndefined();
  expect(() => read(file("text.yaml", "plugins: one.ts\n"))).toThrow(/it must be a list/);
});

test("plugins_of_a_checkpoint_are_loaded_and_those_missing_or_changed_are_named", async () => {
  const path = file("late.ts", 'export default { kind: "loss", name: "late", of: () => 1 };');
  await loadPlugins([path]);
  const saved = loadedPlugins().find((plugin) => plugin.path === path)!;
  const record = (change: object) => ({ ...saved, ...change });
  const gone = record({ path: join(dir, "away.ts"), sha256: "0".repeat(64), members: ["loss away"] });
  const other = file("other.ts", 'export default { kind: "loss", name: "other", of: () => 2 };');
  const state = { plugins: [saved, gone, { path: other, sha256: "1".repeat(64), members: ["loss other"] }] };
  const checkpoint = join(dir, "run/checkpoints/step-000001");
  mkdirSync(checkpoint, { recursive: true });
  file("run/checkpoints/step-000001/state.json", JSON.stringify(state));
  const remarks = await loadCheckpointPlugins(checkpoint);
  expect(remarks).toHaveLength(2);
  expect(remarks[0]).toMatch(/away\.ts .* is missing \(loss away\)/);
  expect(remarks[1]).toMatch(/other\.ts is not what .* was saved with/);
  expect(losses.get("other").of(0)).toBe(2);
  expect(changedPlugins(state.plugins).map((plugin) => plugin.path)).toEqual([other]);
  // The same bytes elsewhere are the same plugin.
  expect(changedPlugins([record({ path: join(dir, "moved.ts") })])).toEqual([]);
});

test.each(["brought/evil.ts", "brought/checkpoints/step-000002/evil.ts"])(
  "a_program_that_came_with_a_checkpoint_in_%s_is_not_run",
  async (where) => {
    const checkpoint = join(dir, "brought/checkpoints/step-000002");
    mkdirSync(checkpoint, { recursive: true });
    const path = file(
      where,
      'globalThis.ranWithCheckpoint = true; export default { kind: "loss", name: "evil" };',
    );
    const plugins = [{ path, sha256: "2".repeat(64), members: ["loss evil"] }];
    file("brought/checkpoints/step-000002/state.json", JSON.stringify({ plugins }));
    const remarks = await loadCheckpointPlugins(checkpoint);
    expect(remarks[0]).toMatch(/evil\.ts lies in the run itself and is not loaded/);
    expect("ranWithCheckpoint" in globalThis).toBe(false);
    expect(losses.has("evil")).toBe(false);
  },
);
