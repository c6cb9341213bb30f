// Patches as answers: blocks that replace lines of a repository's files.
//
// A block is the path of a file on a line of its own, then the lines to be found and those that take their place:
//
//   shop/price.py
//   <<<<<<< SEARCH
//   return x * 3
//   =======
//   return x * 5
//   >>>>>>> REPLACE
//
// Lines to be found are whole lines, compared exactly, and must stand in the file once. Without any, the block writes a new file. A block
// without a path changes the file of the one before it. Blocks are applied in their order; one that cannot be spoils the patch.

/** Files by their path from the top of the repository. */
export type Files = Readonly<Record<string, string>>;

export interface PatchBlock {
  path: string;
  search: readonly string[];
  replace: readonly string[];
}

const MAX_FILES = 64;
const SEARCH = /^<{5,9} SEARCH\s*$/;
const DIVIDE = /^={5,9}\s*$/;
const REPLACE = /^>{5,9} REPLACE\s*$/;
const FENCE = /^\s*(?:```|~~~)/;

/** Why a path cannot be one of a repository; undefined where it can. */
export function pathFault(path: string): string | undefined {
  const parts = path.split("/");
  const fine = /^[\w./-]{1,200}$/.test(path) && parts.every((part) => part !== "" && !/^\.+$/.test(part));
  return fine ? undefined : `${JSON.stringify(path.slice(0, 80))} is no path inside the repository`;
}

/** The path that a line names, without the marks that texts put around it. */
const named = (line: string) => line.trim().replace(/^[#*`\s]+|[*`:\s]+$/g, "");

/** The blocks of a text, or why they cannot be read. */
export function patchBlocks(text: string): PatchBlock[] | { fault: string } {
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  const blocks: PatchBlock[] = [];
  let path = "";
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (!SEARCH.test(line)) {
      if (line.trim() !== "" && !FENCE.test(line)) path = named(line);
      continue;
    }
    const divide = lines.findIndex((l, i) => i > at && DIVIDE.test(l));
    const end = lines.findIndex((l, i) => i > divide && REPLACE.test(l));
    if (divide < 0 || end < 0) return { fault: "a block of the patch does not end" };
    blocks.push({ path, search: lines.slice(at + 1, divide), replace: lines.slice(divide + 1, end) });
    at = end;
  }
  return blocks;
}

/** Places where `wanted` stands in `lines` as whole lines. */
function placesOf(lines: readonly string[], wanted: readonly string[]): number[] {
  const places: number[] = [];
  for (let i = 0; i + wanted.length <= lines.length; i++)
    if (wanted.every((line, k) => lines[i + k] === line)) places.push(i);
  return places;
}

/** A file's text after a block, or why it cannot be applied. */
function applied(old: string | undefined, { path, search, replace }: PatchBlock): string | { fault: string } {
  if (search.length === 0)
    return old === undefined || old.trim() === ""
      ? replace.map((line) => `${line}\n`).join("")
      : { fault: `a block without lines to be found would write over ${path}` };
  if (old === undefined) return { fault: `there is no file ${path}` };
  const lines = old.split("\n");
  const places = placesOf(lines, search);
  if (places.length !== 1)
    return { fault: `the lines to be found stand ${places.length} times in ${path}, not once` };
  const [at] = places as [number];
  return [...lines.slice(0, at), ...replace, ...lines.slice(at + search.length)].join("\n");
}

/** The files after a patch, or why it cannot be applied; a text without a block is no patch. */
export function applyPatch(files: Files, text: string): { files: Files } | { fault: string } {
  const blocks = patchBlocks(text);
  if ("fault" in blocks) return blocks;
  if (blocks.length === 0) return { fault: "it holds no patch" };
  const after = new Map(Object.entries(files));
  for (const block of blocks) {
    const fault = pathFault(block.path);
    if (fault !== undefined) return { fault };
    const text = applied(after.get(block.path), block);
    if (typeof text !== "string") return text;
    after.set(block.path, text);
  }
  if (after.size > MAX_FILES) return { fault: `the repository would have more than ${MAX_FILES} files` };
  return { files: Object.fromEntries(after) };
}

/** One block that replaces some lines of a file. */
export const writeBlock = (path: string, search: string, replace: string): string =>
  `${path}\n<<<<<<< SEARCH\n${search}\n=======\n${replace}\n>>>>>>> REPLACE`;
