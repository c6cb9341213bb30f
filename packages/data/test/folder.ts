// Contents of a folder as one comparable object.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** sha256 by path below `dir`, files whose path matches `except` left out. */
export function folderHashes(dir: string, except = /^$/): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  const paths = files.map((e) => join(e.parentPath, e.name)).filter((p) => !except.test(p.slice(dir.length)));
  return Object.fromEntries(
    paths
      .sort()
      .map((p) => [p.slice(dir.length), createHash("sha256").update(readFileSync(p)).digest("hex")]),
  );
}
