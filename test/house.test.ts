// Rules of the house that a machine can check: direction of imports, no printing in libraries, files that say what they are.
import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** Each package and those that it may import: core ← report, kernels, data ← model, tasks ← train ← eval ← rl; serve; all ← cli. */
const MAY_USE: Record<string, string[]> = {
  core: [],
  report: [],
  kernels: ["core"],
  data: ["core"],
  model: ["core", "kernels"],
  tasks: ["core", "data"],
  train: ["core", "kernels", "data", "model", "tasks"],
  eval: ["core", "kernels", "data", "model", "tasks", "train"],
  rl: ["core", "kernels", "data", "model", "tasks", "train", "eval"],
  serve: ["core", "kernels", "data", "model", "tasks"],
  cli: ["core", "report", "kernels", "data", "model", "tasks", "train", "eval", "rl", "serve"],
};

interface Source {
  path: string;
  package: string;
  /** src, test or bench. */
  part: string;
  text: string;
}

function sources(): Source[] {
  const packages = readdirSync(join(root, "packages"));
  return packages.flatMap((name) =>
    (readdirSync(join(root, "packages", name), { recursive: true }) as string[])
      .filter((file) => /^(src|test|bench)\/.*\.tsx?$/.test(file.split(sep).join("/")))
      .map((file) => {
        const path = `packages/${name}/${file}`;
        return {
          path,
          package: name,
          part: file.split(sep)[0]!,
          text: readFileSync(join(root, path), "utf8"),
        };
      }),
  );
}

const all = sources();
const library = all.filter((s) => s.part === "src" && s.package !== "cli");

const importsOf = (text: string) =>
  [...text.matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)].map((m) => m[1]!);

test("the_packages_are_the_ones_in_the_table", () => {
  expect(readdirSync(join(root, "packages")).sort()).toEqual(Object.keys(MAY_USE).sort());
  expect(all.length).toBeGreaterThan(200);
});

test("packages_import_only_in_the_allowed_direction", () => {
  const wrong = all.flatMap((s) =>
    importsOf(s.text)
      .filter((name) => name.startsWith("@nsa/"))
      .filter((name) => name.slice(5) !== s.package && !MAY_USE[s.package]!.includes(name.slice(5)))
      .map((name) => `${s.path} imports ${name}`),
  );
  expect(wrong).toEqual([]);
});

test("manifests_name_only_allowed_packages", () => {
  for (const [name, allowed] of Object.entries(MAY_USE)) {
    const manifest = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"));
    const used = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })
      .filter((d) => d.startsWith("@nsa/"))
      .map((d) => d.slice(5));
    expect(
      used.filter((d) => !allowed.includes(d)),
      name,
    ).toEqual([]);
  }
});

test("no_relative_import_leaves_its_package_and_own_files_are_named_with_their_ending", () => {
  const wrong = all.flatMap((s) =>
    importsOf(s.text)
      .filter((name) => name.startsWith("."))
      .filter((name) => {
        // Tests and benches may share helpers; the rule is for what runs.
        const target = join(`/${s.path}`, "..", name);
        const inside = s.part !== "src" || target.startsWith(`/packages/${s.package}/`);
        return !inside || !/\.(ts|tsx|json|mjs)$/.test(name);
      })
      .map((name) => `${s.path}: ${name}`),
  );
  expect(wrong).toEqual([]);
});

test("libraries_neither_print_nor_exit", () => {
  const code = (text: string) => text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, "");
  const wrong = library
    .filter((s) => !s.path.endsWith("-main.ts"))
    .filter((s) => /\bconsole\.|process\.(exit\(|exitCode|stdout|stderr)/.test(code(s.text)))
    .map((s) => s.path);
  expect(wrong).toEqual([]);
});

test("every_file_says_in_its_first_line_what_it_is_for", () => {
  const first = (text: string) => text.split("\n").find((line) => !line.startsWith("#!"))!;
  expect(all.filter((s) => !/^\/\/ \S.{15,}|^\/\*\*? ?\S*/.test(first(s.text))).map((s) => s.path)).toEqual(
    [],
  );
});

const linesOf = (text: string) => text.trimEnd().split("\n").length;

test("no_source_file_is_longer_than_400_lines_and_the_median_is_under_200", () => {
  const lengths = all.map((s) => ({ path: s.path, lines: linesOf(s.text) }));
  // Tests and benches may be longer: their parts are read one at a time.
  const limit = (path: string) => (path.includes("/src/") ? 400 : 600);
  expect(lengths.filter(({ path, lines }) => lines > limit(path))).toEqual([]);
  const src = lengths.filter(({ path }) => path.includes("/src/")).map(({ lines }) => lines);
  expect(src.sort((a, b) => a - b)[src.length >> 1]).toBeLessThan(200);
});

test("no_native_file_is_longer_than_400_lines", () => {
  const native = join(root, "packages/kernels/native");
  const files = (readdirSync(native, { recursive: true }) as string[])
    .map((file) => file.split(sep).join("/"))
    .filter((file) => /\.(cc|cu|h|cuh)$/.test(file))
    .map(
      (file) =>
        [`packages/kernels/native/${file}`, linesOf(readFileSync(join(native, file), "utf8"))] as const,
    );
  expect(files.length).toBeGreaterThan(80);
  expect(files.filter(([, lines]) => lines > 400)).toEqual([]);
});

test("nothing_is_left_to_do_later_or_commented_out", () => {
  const later = new RegExp(["TO", "DO\\b|FIX", "ME\\b|XX", "X\\b"].join(""));
  expect(all.filter((s) => later.test(s.text)).map((s) => s.path)).toEqual([]);
});

test("a_test_that_is_skipped_says_why", () => {
  const silent = /\b(test|it|describe)\.(skip|skipIf|runIf|todo)\b|\btest\([^\n]*\{ *skip:/;
  const wrong = all
    .filter((s) => s.part === "test" && !s.path.endsWith("/needs.ts") && silent.test(s.text))
    .map((s) => s.path);
  expect(wrong, "use needs() of packages/core/test/needs.ts").toEqual([]);
});

/** Writes that need no explanation of a full disk: in memory, of tests' own, or inside a corpus task, which explains and clears. */
const OWN_WRITES = [
  ...["packages/cli/src/reference/write.ts", "packages/cli/src/child/hold-run.ts"],
  ...["packages/data/src/corpus/jobs/task.ts", "packages/data/src/corpus/loop/shuffle.ts"],
  ...["packages/kernels/src/comm/pipes.ts", "packages/rl/src/rollouts/labels.ts"],
  ...["packages/tasks/src/sandbox/process.ts", "packages/tasks/src/sandbox/cgroup.ts"],
  "packages/data/src/corpus/steps/",
];
const RAW_WRITE =
  /(?<!withWriteErrors\([^;]{0,60})\b(writeFileSync|appendFileSync|createWriteStream)\(|(?<!withWriteErrors\(path, \(\) => )openSync\([^)]*"(w|a|w\+|r\+|wx)"/;

test("every_write_goes_through_what_explains_a_full_disk", () => {
  const raw = all.filter((s) => s.part === "src" && s.package !== "core" && RAW_WRITE.test(s.text));
  const wrong = raw.map((s) => s.path).filter((path) => !OWN_WRITES.some((own) => path.startsWith(own)));
  expect(wrong).toEqual([]);
  for (const own of OWN_WRITES)
    expect(
      raw.map((s) => s.path).some((path) => path.startsWith(own)),
      own,
    ).toBe(true);
});

test("rows_are_synced_before_the_state_that_counts_them_is_written", () => {
  const saves = all.filter(
    (s) =>
      s.part === "src" &&
      /this\.store\.save\(|atomicWriteFile\(join\(dir, name, "state\.json"\)/.test(s.text),
  );
  expect(saves.length).toBe(3);
  for (const { path, text } of saves) {
    const state = text.search(/this\.store\.save\(|atomicWriteFile\(join\(dir, name, "state\.json"\)/);
    expect(text.slice(Math.max(0, state - 700), state), path).toMatch(/\b(context|ctx)\.sync\(\)/);
  }
});
