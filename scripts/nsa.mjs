// Runs the CLI: `pnpm nsa …`, `npm run nsa -- …`. The bundle where it is as new as the sources, else the sources.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const packages = fileURLToPath(new URL("../packages", import.meta.url));

function changedAfter(time, dir) {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (statSync(path).mtimeMs > time || (entry.isDirectory() && changedAfter(time, path))) return true;
  }
  return false;
}

/** Help needs the CLI's own sources only; asking 250 files for their time would cost more than printing it. */
const asksHelp = process.argv
  .slice(2)
  .every((word) => ["--help", "-h", "--version", "-V", "help"].includes(word));

/** Folders count too: a file that was taken away changes its folder. */
function bundleIsFresh() {
  try {
    if (existsSync(join(packages, "../BUNDLE"))) return true;
    const built = statSync(join(packages, "../build/stamps/bundle")).mtimeMs;
    if (!statSync(join(packages, "cli/dist/nsa.mjs")).isFile()) return false;
    const names = asksHelp ? ["cli"] : readdirSync(packages);
    return names.every((name) => !changedAfter(built, join(packages, name, "src")));
  } catch {
    return false;
  }
}

if (bundleIsFresh()) await import(pathToFileURL(join(packages, "cli/dist/nsa.mjs")).href);
else {
  const { spawn } = await import("node:child_process");
  const tsx = import.meta.resolve("tsx");
  const args = ["--conditions=nsa-source", "--import", tsx, join(packages, "cli/src/main.ts")];
  const child = spawn(process.execPath, [...args, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
}
