// Where the files of lists and indexes lie: below a base that the config names, or by the place of the list itself.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

export const isAddress = (place: string): boolean => /^https?:\/\//i.test(place);

/** Lists of paths (`warc.paths.gz`), and index files (`cdx-00000.gz`, `.cdxj`, `.cdx`). */
export const isList = (name: string): boolean => /\.paths(?:\.gz)?$/.test(name);
export const isIndex = (name: string): boolean => /(?:^|\/)cdx-\d+\.gz$|\.cdxj?(?:\.gz)?$/.test(name);

/** `path` below an address that lists it: the folder, among the list's and those above, whose address the path's head repeats. */
function besideAddress(list: string, path: string): string {
  const { origin, pathname } = new URL(list);
  const folders = pathname.split("/").slice(1, -1);
  const head = path.split("/")[0]!;
  const at = folders.indexOf(head);
  const base = at >= 0 ? folders.slice(0, at) : folders;
  return `${origin}/${[...base, path].join("/")}`;
}

/** `path` below the list's folder, or below one above it where it is there. */
function besideFile(list: string, path: string): string {
  let base = dirname(list);
  while (!existsSync(join(base, path)) && dirname(base) !== base) base = dirname(base);
  const found = join(base, path);
  return existsSync(found) ? found : join(dirname(list), path);
}

/** The place of a file that a list or an index names. */
export function placeOf(list: string, path: string, base: string): string {
  if (isAddress(path)) return path;
  if (isAddress(base)) return `${base.replace(/\/+$/, "")}/${path.replace(/^\/+/, "")}`;
  if (base !== "") return resolve(base, path);
  return isAddress(list) ? besideAddress(list, path) : besideFile(list, path);
}

/** Path of a fetched file below the folder of inputs: host and path, each segment as plain characters. */
export function fetchedPath(address: string): string {
  const url = new URL(address);
  const segments = [url.host, ...url.pathname.split("/")].filter((s) => s !== "" && s !== "." && s !== "..");
  const plain = segments.map((s) =>
    decodeURIComponent(s.replace(/%(?![\da-f]{2})/gi, "%25")).replace(/[^\w.+=-]/g, "_"),
  );
  // An address with a query is another file than that without; so are addresses that differ in what was replaced.
  const exact = url.search === "" && segments.every((s, i) => s === plain[i]);
  const name = plain.pop()!;
  const mark = createHash("sha256").update(url.href).digest("hex").slice(0, 8);
  return join(...plain, exact ? name : `${mark}-${name}`);
}
