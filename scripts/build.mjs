// Bundles every package into its dist/ (TypeScript only; the addon is build-native.mjs's). Does nothing when nothing changed.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { digest, isDone, markDone, root } from "./lib.mjs";

const packages = readdirSync(join(root, "packages")).filter((name) =>
  existsSync(join(root, "packages", name, "package.json")),
);

/** index.ts and every `*-main.ts`, which is started as a process of its own. */
function entries(name) {
  const src = join(root, "packages", name, "src");
  const files = readdirSync(src, { recursive: true });
  const starts = files.filter((file) => file === "index.ts" || file.endsWith("-main.ts"));
  return Object.fromEntries(starts.map((file) => [basename(file, ".ts"), join(src, file)]));
}

/**
 * commander loads child_process for sub-commands that are programs of their own; nsa has none, and loading it is
 * most of what `nsa --help` takes beyond a bare Node.
 */
const lighterCommander = {
  name: "lighter-commander",
  transform(code, id) {
    if (!id.endsWith("/commander/lib/command.js")) return undefined;
    const lighter = code.replace("require('node:child_process')", "{}");
    if (lighter === code) throw new Error("commander no longer loads child_process so: look at it again");
    return lighter;
  },
};

/** Third-party code stays outside, so that it is found from its own package; the CLI takes in what --help needs. */
function options(name) {
  const cli = name === "cli";
  return {
    config: false,
    cwd: join(root, "packages", name),
    entry: cli ? { nsa: "src/main.ts", ...entries(name) } : entries(name),
    outDir: "dist",
    format: "esm",
    platform: "node",
    target: "node20.19",
    dts: false,
    clean: true,
    minify: false,
    sourcemap: false,
    report: false,
    logLevel: "error",
    fixedExtension: true,
    plugins: cli ? [lighterCommander] : [],
    deps: cli ? { alwaysBundle: ["commander"], onlyBundle: ["commander"] } : undefined,
  };
}

const started = new Date();
const product = "packages/cli/dist/nsa.mjs";
const sources = packages.flatMap((name) => [`packages/${name}/src`, `packages/${name}/package.json`]);
const key = digest(["scripts/build.mjs", "pnpm-lock.yaml", ...sources]);
const lock = join(root, "build/stamps/bundle.lock");
const STALE_MS = 60_000;

/** Two builds at once (tests in several processes) would clean each other's output. */
async function locked(work) {
  mkdirSync(dirname(lock), { recursive: true });
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0);
      // Left by a build that was killed.
      if (age > STALE_MS) rmSync(lock, { recursive: true, force: true });
      else await setTimeout(50);
    }
  }
  try {
    await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

if (!isDone("bundle", key, product)) {
  await locked(async () => {
    if (isDone("bundle", key, product)) return;
    const { build } = await import("tsdown");
    for (const name of packages) {
      await build(options(name));
      // Python files that go out with exported models, and scripts for a Node that can read nothing else, lie beside the code.
      const src = join(root, "packages", name, "src");
      for (const file of readdirSync(src, { recursive: true })) {
        if (/\.(py|mjs)$/.test(file))
          copyFileSync(join(src, file), join(root, "packages", name, "dist", basename(file)));
      }
    }
    // As it is without a terminal; main.ts prints it without loading the command line.
    const cli = join(root, "packages/cli/dist");
    const help = spawnSync(process.execPath, [join(cli, "nsa.mjs"), "--help"], { encoding: "utf8" });
    if (help.status !== 0) throw new Error(help.stderr);
    writeFileSync(join(cli, "help.txt"), help.stdout);
    markDone("bundle", key, product);
  });
}
// Written even when nothing was built: nsa.mjs compares its time with the sources', which is cheaper than a digest.
// The time is the start's: a file edited while the bundle was made is newer than it.
markDone("bundle", key, product);
utimesSync(join(root, "build/stamps/bundle"), started, started);
