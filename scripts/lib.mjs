// Shared by the scripts: running commands, finding pnpm, and skipping work that is up to date.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a command in the root with its output shown; ends this process with its code when it fails. */
export function must(command, args, options = {}) {
  const code = attempt(command, args, options);
  if (code !== 0) {
    console.error(`failed (${code}): ${command} ${args.join(" ")}`);
    process.exit(code);
  }
}

/** Runs a command and returns its exit code (127 when it cannot be started). */
export function attempt(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  return result.status ?? 127;
}

export function has(command) {
  return spawnSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" }).status === 0;
}

/** Runs pnpm at the pinned version, installed or not. */
export function pnpm(args) {
  const version = "10.34.9";
  const installed = spawnSync("pnpm", ["--version"], { cwd: root, encoding: "utf8" });
  if (installed.status === 0) must("pnpm", args);
  else must("npx", ["-y", `pnpm@${version}`, ...args]);
}

/** Digest of names, sizes and contents of files below the given paths. */
export function digest(paths) {
  const hash = createHash("sha256");
  const visit = (path) => {
    const full = join(root, path);
    if (!existsSync(full)) return;
    if (statSync(full).isDirectory()) {
      for (const name of readdirSync(full).sort()) {
        if (name !== "node_modules" && name !== "dist") visit(join(path, name));
      }
    } else hash.update(path).update(readFileSync(full));
  };
  for (const path of paths) visit(path);
  return hash.digest("hex");
}

const stampOf = (name) => join(root, "build", "stamps", name);

/** Whether `name` was done for the same `key` and `product` is still there. */
export function isDone(name, key, product) {
  const stamp = stampOf(name);
  return existsSync(stamp) && readFileSync(stamp, "utf8") === mark(key, product);
}

/** The key and the product's size: one that was damaged since is not what was made. */
function mark(key, product) {
  const path = join(root, product);
  return existsSync(path) ? `${key} ${statSync(path).size}` : "";
}

export function markDone(name, key, product) {
  mkdirSync(dirname(stampOf(name)), { recursive: true });
  writeFileSync(stampOf(name), mark(key, product));
}

/** Does `work` unless it was done for the same `key` and `product` is still there. */
export function once(name, key, product, work) {
  if (isDone(name, key, product)) return false;
  work();
  markDone(name, key, product);
  return true;
}
