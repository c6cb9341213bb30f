// Control groups: one for each program, which bounds the memory and the processes of all that it starts, files in memory included.
//
// A group is made beside or below this process's own, where that is allowed: in version 2 in the nearest folder whose `memory` and `pids`
// controllers reach its children, in version 1 below its own folder of each controller. Where neither is, programs are bounded by
// process alone (`nsa doctor` lists what is not).
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const ROOT = "/sys/fs/cgroup";
/** For the processes that lock the program in. */
const OVERHEAD = 16 * 2 ** 20;
const RETRY_MS = 20;
const RETRIES = 100;

interface Layout {
  version: 1 | 2;
  /** Folders in which groups are made. */
  memory: string;
  pids: string;
}

export interface GroupLimits {
  memoryBytes: number;
  processes: number;
}

export interface Group {
  /** Files into which a process writes 0 to join. */
  join: string[];
  /** Whether the system ended a process of the group for memory. */
  outOfMemory(): boolean;
  /** Removes the group once its processes have ended. */
  close(): void;
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};

/** Paths of this process's groups by controller; version 2 has the name "". */
function ownGroups(): Map<string, string> {
  const lines = read("/proc/self/cgroup").trim().split("\n");
  const out = new Map<string, string>();
  for (const line of lines) {
    const [, names = "", ...path] = line.split(":");
    for (const name of names.split(",")) out.set(name, path.join(":"));
  }
  return out;
}

/** A group's folder; in a container the mount itself may be the group that /proc names by its path outside. */
function below(mount: string, path: string): string {
  const folder = join(mount, path);
  return existsSync(folder) ? folder : mount;
}

/** Folders that may hold groups of programs: the process's own and, in version 2, those above it. */
function candidates(): Layout[] {
  const own = ownGroups();
  const out: Layout[] = [];
  const unified = own.get("");
  const root2 = existsSync(join(ROOT, "cgroup.controllers")) ? ROOT : join(ROOT, "unified");
  if (unified !== undefined && existsSync(join(root2, "cgroup.controllers"))) {
    for (let path = join(root2, unified); path.startsWith(root2); path = dirname(path)) {
      const reaches = read(join(path, "cgroup.subtree_control")).split(/\s+/);
      if (reaches.includes("memory") && reaches.includes("pids"))
        out.push({ version: 2, memory: path, pids: path });
    }
  }
  const [memory, pids] = ["memory", "pids"].map((name) => own.get(name));
  if (memory !== undefined && pids !== undefined)
    out.push({
      version: 1,
      memory: below(join(ROOT, "memory"), memory),
      pids: below(join(ROOT, "pids"), pids),
    });
  return out;
}

function setLimits({ version }: Layout, memory: string, pids: string, limits: GroupLimits): void {
  const bytes = String(limits.memoryBytes + OVERHEAD);
  const set = (file: string, value: string) => writeFileSync(file, value);
  if (version === 2) {
    set(join(memory, "memory.max"), bytes);
    if (existsSync(join(memory, "memory.swap.max"))) set(join(memory, "memory.swap.max"), "0");
    if (existsSync(join(memory, "memory.oom.group"))) set(join(memory, "memory.oom.group"), "1");
  } else {
    set(join(memory, "memory.limit_in_bytes"), bytes);
    const swap = join(memory, "memory.memsw.limit_in_bytes");
    if (existsSync(swap)) set(swap, bytes);
  }
  set(join(pids, "pids.max"), String(limits.processes));
}

function remove(folders: readonly string[], retries = RETRIES): void {
  const left = folders.filter((folder) => {
    try {
      rmdirSync(folder);
      return false;
    } catch {
      return existsSync(folder);
    }
  });
  // Its processes were killed a moment ago.
  if (left.length > 0 && retries > 0) setTimeout(() => remove(left, retries - 1), RETRY_MS).unref();
}

let groups = 0;

function make(layout: Layout, limits: GroupLimits): Group {
  const name = `nsa-${process.pid}-${groups++}`;
  const folders = [...new Set([join(layout.memory, name), join(layout.pids, name)])];
  try {
    for (const folder of folders) mkdirSync(folder);
    const [memory, pids] = [folders[0]!, folders.at(-1)!];
    setLimits(layout, memory, pids, limits);
    const events = join(memory, layout.version === 2 ? "memory.events" : "memory.oom_control");
    return {
      join: folders.map((folder) => join(folder, "cgroup.procs")),
      outOfMemory: () => Number(/^oom_kill (\d+)/m.exec(read(events))?.[1] ?? 0) > 0,
      close: () => remove(folders),
    };
  } catch (error) {
    remove(folders, 0);
    throw error;
  }
}

/** Removes groups that processes which are gone have left. */
function sweep({ memory, pids }: Layout): void {
  for (const folder of new Set([memory, pids])) {
    for (const name of readdirSync(folder)) {
      const pid = /^nsa-(\d+)-\d+$/.exec(name)?.[1];
      if (pid !== undefined && !existsSync(`/proc/${pid}`)) remove([join(folder, name)], 0);
    }
  }
}

/**
 * Shell that puts itself into the groups of `files`. Trouble of the machine with a group is no fault of a program: it then runs as where
 * there are no groups, unless the script is to `report` it by its exit code.
 */
export const joinScript = (files: readonly string[], report = false): string =>
  files
    .map(
      (file) =>
        `{ echo 0 >'${file.replaceAll("'", "'\\''")}'; } 2>/dev/null || ${report ? "exit 125" : ":"}; `,
    )
    .join("");

let found: { layout?: Layout; why: string } | undefined;

function find(): { layout?: Layout; why: string } {
  if (process.platform !== "linux") return { why: "control groups need Linux" };
  let why = "no group of this process has the controllers memory and pids";
  for (const layout of candidates()) {
    try {
      sweep(layout);
      const group = make(layout, { memoryBytes: 2 ** 26, processes: 8 });
      const run = spawnSync("/bin/sh", ["-c", `${joinScript(group.join, true)}exit 0`], {
        env: {},
        timeout: 5000,
      });
      group.close();
      if (run.status === 0) return { layout, why: "" };
      why = `a process cannot join a group in ${layout.memory}`;
    } catch (error) {
      why = `no group can be made in ${layout.memory} (${(error as NodeJS.ErrnoException).code})`;
    }
  }
  return { why };
}

/** Whether the memory and processes of a program can be bounded as a whole; tried once. */
export function cgroupState(): { usable: boolean; why: string; version?: 1 | 2 } {
  found ??= find();
  const { layout, why } = found;
  return { usable: layout !== undefined, why, version: layout?.version };
}

/** A group with these limits; undefined where none can be made. */
export function openGroup(limits: GroupLimits): Group | undefined {
  if (!cgroupState().usable) return undefined;
  try {
    return make(found!.layout!, limits);
  } catch {
    // Too many groups, or the folder has gone: as where there are none.
    return undefined;
  }
}
