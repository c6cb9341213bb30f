// One life of a command, killed at a change of a file or after a time, and the facts of a folder of runs that kills must not change.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const bundle = join(root, "packages/cli/dist/nsa.mjs");
const preload = pathToFileURL(join(import.meta.dirname, "die-at.mjs")).href;

export type Who = "command" | "parent" | "both";
export type Blow =
  /** At the n-th change of a file under the folder of runs. */
  | { who: Who; at: number }
  /** So many milliseconds after the start: the command alone, or its trainer, too. */
  | { ms: number; group: boolean };

export interface Life {
  code: number | null;
  errors: string;
  /** From the start to the end of the command. */
  ms: number;
}

interface LifeOptions {
  blow?: Blow;
  resume?: boolean;
  /** A file for the number of changes that `who` makes. */
  count?: { who: Who; file: string };
  /** `cpu` where it is not given. */
  device?: string;
}

/** Runs the command to its end or its blow. */
export function live(
  words: readonly string[],
  runs: string,
  { blow, resume = false, count, device = "cpu" }: LifeOptions = {},
): Promise<Life> {
  mkdirSync(runs, { recursive: true });
  const own = words.map((word) => word.replaceAll("{runs}", runs));
  const args = [
    bundle,
    ...own,
    "--runs",
    runs,
    "--device",
    device,
    "--plain",
    ...(resume ? ["--resume", "latest"] : []),
  ];
  const die =
    blow && "at" in blow
      ? { root: runs, ...blow }
      : count
        ? { root: runs, at: 0, who: count.who, count: count.file }
        : undefined;
  const env = die ? { NODE_OPTIONS: `--import=${preload}`, NSA_DIE: JSON.stringify(die) } : {};
  const from = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true,
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (text: Buffer) => {
    errors = (errors + text.toString()).slice(-3000);
  });
  let timer: NodeJS.Timeout | undefined;
  if (blow && "ms" in blow) {
    timer = setTimeout(() => {
      try {
        process.kill(blow.group ? -child.pid! : child.pid!, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }, blow.ms);
  }
  return new Promise((resolve) =>
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, errors, ms: performance.now() - from });
    }),
  );
}

/** Names that hold times, hosts or hints, or the locks of processes. */
const LEFT_OUT =
  /(^|\/)(log\.txt|env\.json|timing\.json|best\.json|profile\.json|report\.html|\.lock-\d+|.*\.part\.json)$/;
/** A run folder's own name has a time. */
const STAMP = /-\d{8}-\d{6}(-\d+)?(?=[/"\n]|$)/g;

const timeless = (text: string) =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) =>
      Object.entries(JSON.parse(line) as object).filter(
        ([key]) => key !== "time" && !key.startsWith("perf/"),
      ),
    );

/** Of the checkpoints of a run, and of their references, the newest counts: a trainer whose command was killed saves one more on its way out. */
function isOldCheckpoint(path: string): boolean {
  const match = /^(.*\/(?:checkpoints|reference))\/step-(\d+)(\/|$)/.exec(path);
  if (!match) return false;
  const steps = readdirSync(match[1]!).flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? []);
  return Math.max(...steps.map(Number)) !== Number(match[2]);
}

function factOf(path: string, runs: string): string {
  if (/(^|\/)events\.out\./.test(path)) return String(statSync(path).size);
  const bytes = readFileSync(path);
  if (path.endsWith("metrics.jsonl")) return JSON.stringify(timeless(bytes.toString()));
  let text = bytes.toString("latin1").replaceAll(runs, "").replace(STAMP, "");
  // The seal is over the folders' names, too, and the hash of a recipe over their paths.
  if (path.endsWith(".json")) text = text.replace(/"(seal|fingerprint)": ?"[0-9a-f]{64}"/g, "");
  return createHash("sha256").update(Buffer.from(text, "latin1")).digest("hex");
}

/** Facts of everything under a folder of runs, by path without times. */
export function factsOf(runs: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const entry of readdirSync(runs, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || LEFT_OUT.test(path) || isOldCheckpoint(path)) continue;
    const name = relative(runs, path).replace(STAMP, "");
    out.set(out.has(name) ? `${name} again` : name, factOf(path, runs));
  }
  return out;
}

/** What differs between two folders of runs. */
export function differencesOf(
  whole: ReadonlyMap<string, string>,
  broken: ReadonlyMap<string, string>,
): string[] {
  const names = new Set([...whole.keys(), ...broken.keys()]);
  return [...names].flatMap((name) => {
    if (!broken.has(name)) return [`${name} is missing`];
    if (!whole.has(name)) return [`${name} is left over`];
    return whole.get(name) === broken.get(name) ? [] : [`${name} differs`];
  });
}

/** Whether the folder holds a run that can be resumed. */
export const hasRun = (runs: string): boolean =>
  existsSync(runs) &&
  readdirSync(runs).some((name) => !name.startsWith(".") && existsSync(join(runs, name, "config.yaml")));
