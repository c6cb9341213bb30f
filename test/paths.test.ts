// What rots silently: paths named in scripts and docs, the changes that recorded bugs make, names of built files.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const below = (folder: string, pattern: RegExp) =>
  (readdirSync(join(root, folder), { recursive: true }) as string[])
    .filter((file) => pattern.test(file))
    .map((file) => join(folder, file));

/** A path into the workspace, without patterns and dates to be filled in. */
const PATH =
  /(?<![\w./-])(?:packages|configs|docs|scripts|benchmarks|schemas|test)\/[\w./-]*\w\.(?:ts|tsx|mjs|json|yaml|md|cu|cc|h|py|sh|txt)\b/g;

test("every_path_that_scripts_and_docs_name_exists", () => {
  const files = [
    "README.md",
    "CONTRIBUTING.md",
    "knip.json",
    "package.json",
    ".ci/run",
    "runs/README.md",
    ...below("scripts", /\.mjs$/),
    ...below("docs", /\.md$/),
  ].filter((file) => file !== "docs/LOG.md");
  const named = files.flatMap((file) => [...read(file).matchAll(PATH)].map((m) => ({ file, path: m[0] })));
  expect(named.length).toBeGreaterThan(60);
  const made = /^(docs\/reference\/recipes|test\/bits)\//;
  expect(named.filter(({ path }) => !made.test(path) && !existsSync(join(root, path)))).toEqual([]);
});

test("every_recorded_bug_finds_the_line_that_it_changes_and_the_test_that_must_notice", async () => {
  const { mutations } = (await import(join(root, "scripts/mutation-list.mjs"))) as {
    mutations: { bug: string; file: string; from: string; tests: string; test: string }[];
  };
  expect(mutations.length).toBeGreaterThan(20);
  for (const { bug, file, from, tests, test: name } of mutations) {
    expect(read(file).split(from).length - 1, `${bug}: places in ${file}`).toBe(1);
    // Names of a table's rows are made from a pattern: `…_of_%s` or `…_of_${loss}`.
    const patterns = [...read(tests).matchAll(/["`]((?:\w|%s|\$\{\w+\})*(?:%s|\$\{\w+\})\w*)["`]/g)].map(
      (m) => m[1]!.replace(/%s|\$\{\w+\}/g, "\\w+"),
    );
    const found = read(tests).includes(name) || patterns.some((p) => new RegExp(`^${p}$`).test(name));
    expect(found, `${bug}: ${name}`).toBe(true);
  }
});

test("built_files_of_a_package_have_names_of_their_own", () => {
  for (const name of readdirSync(join(root, "packages"))) {
    const entries = below(`packages/${name}/src`, /(-main\.ts|\.py|\.mjs)$/).map((file) =>
      basename(file).replace(/\.ts$/, ".mjs"),
    );
    expect(new Set(entries).size, name).toBe(entries.length);
  }
});

test("the_folder_of_shared_data_is_found_in_one_place", () => {
  const wrong = ["test", "bench"].flatMap((part) =>
    readdirSync(join(root, "packages")).flatMap((name) => {
      const folder = `packages/${name}/${part}`;
      return existsSync(join(root, folder)) ? below(folder, /\.ts$/) : [];
    }),
  );
  expect(wrong.filter((file) => /NSA_DATA \?\?/.test(read(file)))).toEqual([
    "packages/core/test/shared-data.ts",
  ]);
});
