// Input paths of a config: `*` matches within a name, `**` any number of folders, a folder gives its files of known formats, and
// lists of paths as Common Crawl has them (`warc.paths.gz`) give the files that they name. The order is sorted, so shard names are stable.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { NsaError } from "@nsa/core";
import { formatOfName } from "./formats.ts";

function missing(pattern: string, why: string): NsaError {
  return new NsaError({
    code: "input_missing",
    what: `no input file for ${pattern}`,
    why,
    fix: "check the path; `*` matches within one name, `**` any folders below, a folder gives its files",
    exitCode: 3,
  });
}

/** Expression for one name of a pattern; as in shells, `*` begins no hidden name. */
function nameExpression(part: string): RegExp {
  const escaped = part.split("*").map((s) => s.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${part.startsWith("*") ? "(?!\\.)" : ""}${escaped.join(".*")}$`);
}

/** Folders below a folder, itself first, without hidden ones; links are not followed. */
function foldersBelow(folder: string): string[] {
  const out = [folder];
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory() && !entry.name.startsWith("."))
      out.push(...foldersBelow(join(folder, entry.name)));
  return out;
}

const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();

/** Files that a pattern names, unsorted. */
function matches(path: string): string[] {
  const parts = path.split("/");
  const name = parts.pop()!;
  let folders = ["/"];
  for (const part of parts.slice(1)) {
    if (part === "**") folders = folders.flatMap(foldersBelow);
    else if (!part.includes("*")) folders = folders.map((f) => join(f, part)).filter(isFolder);
    else {
      const expression = nameExpression(part);
      folders = folders.flatMap((f) =>
        readdirSync(f)
          .filter((n) => expression.test(n))
          .map((n) => join(f, n))
          .filter(isFolder),
      );
    }
  }
  const below = name === "**";
  const expression = nameExpression(below ? "*" : name);
  const inside = (below ? folders.flatMap(foldersBelow) : folders).flatMap((f) =>
    readdirSync(f)
      .filter((n) => expression.test(n))
      .map((n) => join(f, n)),
  );
  return [...new Set(inside)].filter((f) => name === basename(f) || !isFolder(f));
}

/** The files of a folder whose names are those of a format. */
const filesOf = (folder: string): string[] =>
  matches(join(folder, "**"))
    .filter((file) => formatOfName(file) !== undefined)
    .sort();

/** The files of a list of paths: below the list's folder, or below one of the folders above it, as in a mirror. */
function listed(list: string): string[] {
  const bytes = readFileSync(list);
  const text = (list.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  let base = dirname(list);
  const first = lines[0];
  while (first !== undefined && !existsSync(join(base, first)) && dirname(base) !== base)
    base = dirname(base);
  const files = lines.map((line) => join(base, line.trim()));
  const absent = files.findIndex((f) => !existsSync(f));
  if (absent >= 0)
    throw missing(lines[absent]!, `${list} names it, and it is neither in that folder nor in one above`);
  return files;
}

/**
 * Absolute paths for a list of paths and patterns, in the given order, matches sorted, each file once. `lists: false` leaves
 * lists of paths as files of their own.
 */
export function expandInputs(patterns: string[], base = process.cwd(), { lists = true } = {}): string[] {
  const out = new Set<string>();
  for (const pattern of patterns) {
    if (/^https?:\/\//i.test(pattern))
      throw missing(
        pattern,
        "addresses are inputs of `nsa data build` and its steps alone; fetch the file first",
      );
    const path = resolve(base, pattern);
    if (!pattern.includes("*") && !existsSync(path)) throw missing(pattern, "the file is not there");
    const fixed = dirname(path.slice(0, path.includes("*") ? path.indexOf("*") + 1 : undefined));
    if (!existsSync(fixed)) throw missing(pattern, `the folder ${fixed} is not there`);
    const found = pattern.includes("*") ? matches(path).sort() : isFolder(path) ? filesOf(path) : [path];
    if (found.length === 0)
      throw missing(pattern, isFolder(path) ? "no file in this folder can be read" : "nothing matches");
    for (const file of found)
      for (const one of lists && /\.paths(?:\.gz)?$/.test(file) ? listed(file) : [file]) out.add(one);
  }
  return [...out];
}

/** Shard name of the i-th input: its ordinal and its base name without extensions. */
export function shardName(path: string, i: number): string {
  const stem = basename(path)
    .replace(/\.(gz|zst)$/i, "")
    .replace(/\.\w+$/, "");
  return `${String(i).padStart(5, "0")}-${stem.replace(/[^\w.-]/g, "_")}`;
}
