// `node scripts/pack.mjs <folder>`: every package as it would be published, one folder each: built code, declarations, a manifest with
// versions. Native libraries stay where they are; NSA_NATIVE_DIR names their folder.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { digest, must, once, root } from "./lib.mjs";

const out = process.argv[2];
if (!out) {
  console.error("usage: node scripts/pack.mjs <folder>");
  process.exit(2);
}

const names = readdirSync(join(root, "packages")).filter((name) =>
  existsSync(join(root, "packages", name, "package.json")),
);

must("node", ["scripts/build.mjs"]);
const sources = names.map((name) => `packages/${name}/src`);
once(
  "types",
  digest(["tsconfig.json", "tsconfig.types.json", ...sources]),
  "build/types/core/src/index.d.ts",
  () => {
    rmSync(join(root, "build/types"), { recursive: true, force: true });
    must("node_modules/.bin/tsc", ["-p", "tsconfig.types.json"]);
  },
);

const workspace = readFileSync(join(root, "pnpm-workspace.yaml"), "utf8");
const catalog = Object.fromEntries(
  [...workspace.matchAll(/^ {2}"?([^\s":]+)"?: ([\d.]+)$/gm)].map(([, name, version]) => [name, version]),
);

/** The manifest of a package with the versions that the workspace stands for. */
function published(name) {
  const {
    private: _,
    devDependencies: __,
    ...manifest
  } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"));
  const version = (dependency, range) =>
    range.startsWith("catalog:")
      ? catalog[dependency]
      : range.startsWith("workspace:")
        ? manifest.version
        : range;
  const dependencies = Object.entries(manifest.dependencies ?? {});
  const exports = manifest.exports && {
    ".": { types: "./dist/types/index.d.ts", default: manifest.exports["."].default },
  };
  return {
    ...manifest,
    ...(exports && { exports }),
    files: ["dist"],
    dependencies: Object.fromEntries(dependencies.map(([key, range]) => [key, version(key, range)])),
  };
}

for (const name of names) {
  const folder = resolve(out, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  cpSync(join(root, "packages", name, "dist"), join(folder, "dist"), { recursive: true });
  const types = join(root, "build/types", name, "src");
  if (existsSync(types)) cpSync(types, join(folder, "dist/types"), { recursive: true });
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(published(name), null, 2)}\n`);
}
