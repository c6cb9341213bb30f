// Which files the inputs of a config name.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { expandInputs } from "../src/corpus/readers/inputs.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-inputs-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
for (const file of [
  "a.jsonl",
  "b.jsonl",
  "c.txt",
  "x/1.jsonl",
  "x/y/2.jsonl",
  "x/y/z/3.jsonl",
  "x2/y/4.jsonl",
  ".hidden/5.jsonl",
  "x/[a].jsonl",
  "crawl-data/s/1.warc.gz",
  "crawl-data/s/2.warc.gz",
]) {
  mkdirSync(join(root, file, ".."), { recursive: true });
  writeFileSync(join(root, file), "");
}
const names = (...patterns: string[]) => expandInputs(patterns, root).map((f) => f.slice(root.length + 1));

test.each([
  [["a.jsonl"], ["a.jsonl"]],
  [["*.jsonl"], ["a.jsonl", "b.jsonl"]],
  [
    ["b.jsonl", "*.jsonl"],
    ["b.jsonl", "a.jsonl"],
  ],
  [["x/*.jsonl"], ["x/1.jsonl", "x/[a].jsonl"]],
  [["x*/y/*.jsonl"], ["x/y/2.jsonl", "x2/y/4.jsonl"]],
  [["x/**/*.jsonl"], ["x/1.jsonl", "x/[a].jsonl", "x/y/2.jsonl", "x/y/z/3.jsonl"]],
  [
    ["**/*.jsonl"],
    ["a.jsonl", "b.jsonl", "x/1.jsonl", "x/[a].jsonl", "x/y/2.jsonl", "x/y/z/3.jsonl", "x2/y/4.jsonl"],
  ],
  [["**/y/*.jsonl"], ["x/y/2.jsonl", "x2/y/4.jsonl"]],
  [["x2/**"], ["x2/y/4.jsonl"]],
  [["x/[*.jsonl"], ["x/[a].jsonl"]],
])("%j_names_%j", (patterns, files) => expect(names(...patterns)).toEqual(files));

/** All files of the tree, without hidden folders. */
const FILES = [
  ...["a.jsonl", "b.jsonl", "c.txt"],
  ...["x/1.jsonl", "x/y/2.jsonl", "x/y/z/3.jsonl", "x2/y/4.jsonl", "x/[a].jsonl"],
  ...["crawl-data/s/1.warc.gz", "crawl-data/s/2.warc.gz"],
];
const FOLDERS = [
  "",
  "*/",
  "**/",
  "x/",
  "x*/",
  "*/y/",
  "**/y/",
  "x/**/",
  "x/*/",
  "**/**/",
  "*/*/",
  "c*-data/**/",
];
const NAMES = ["*", "*.jsonl", "?.jsonl", "[0-9].*", "2*", "*.gz"];

/** What a pattern means, segment by segment. */
function means(pattern: readonly string[], path: readonly string[]): boolean {
  const [part, ...rest] = pattern;
  if (part === undefined) return path.length === 0;
  if (part === "**") return means(rest, path) || (path.length > 1 && means(pattern, path.slice(1)));
  if (path.length === 0) return false;
  const fits = (mask: string, name: string): boolean =>
    mask === ""
      ? name === ""
      : mask[0] === "*"
        ? fits(mask.slice(1), name) || (name !== "" && fits(mask, name.slice(1)))
        : mask[0] === name[0] && fits(mask.slice(1), name.slice(1));
  return fits(part, path[0]!) && means(rest, path.slice(1));
}

test.each(FOLDERS.flatMap((folder) => NAMES.map((name) => folder + name)))(
  "%s_names_what_its_parts_mean",
  (pattern) => {
    const expected = FILES.filter((file) => means(pattern.split("/"), file.split("/"))).sort();
    if (expected.length === 0)
      expect(() => names(pattern)).toThrow(expect.objectContaining({ code: "input_missing" }));
    else expect(names(pattern)).toEqual(expected);
  },
);

test("a_folder_names_its_files_that_can_be_read", () => {
  expect(names("x")).toEqual(["x/1.jsonl", "x/[a].jsonl", "x/y/2.jsonl", "x/y/z/3.jsonl"]);
  expect(names("x/y/")).toEqual(["x/y/2.jsonl", "x/y/z/3.jsonl"]);
  mkdirSync(join(root, "pictures"));
  writeFileSync(join(root, "pictures/a.png"), "");
  expect(() => names("pictures")).toThrow(
    expect.objectContaining({
      code: "input_missing",
      why: "no file in this folder can be read",
      exitCode: 3,
    }),
  );
});

test("a_list_of_paths_names_its_files_from_its_folder_or_one_above", () => {
  const lines = "crawl-data/s/2.warc.gz\ncrawl-data/s/1.warc.gz\n";
  writeFileSync(join(root, "warc.paths.gz"), gzipSync(lines));
  writeFileSync(join(root, "crawl-data/s/warc.paths"), lines.replaceAll("\n", "\r\n"));
  for (const list of ["warc.paths.gz", "crawl-data/s/warc.paths", "crawl-data/**/*.paths"])
    expect(names(list)).toEqual(["crawl-data/s/2.warc.gz", "crawl-data/s/1.warc.gz"]);
  writeFileSync(join(root, "bad.paths"), "crawl-data/s/1.warc.gz\ncrawl-data/s/3.warc.gz\n");
  expect(() => names("bad.paths")).toThrow(/crawl-data\/s\/3\.warc\.gz/);
});

test.each(["none.jsonl", "none/*.jsonl", "*.parquet", "x/**/*.txt", "none/**"])(
  "%s_that_names_nothing_is_an_error",
  (pattern) => {
    expect(() => names(pattern)).toThrow(expect.objectContaining({ code: "input_missing", exitCode: 3 }));
  },
);
