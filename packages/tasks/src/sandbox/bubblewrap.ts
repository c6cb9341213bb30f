// The command line that locks a program in: own namespaces, no network, nothing writable but a small /tmp.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import type { ProgramLimits } from "./limits.ts";

const PYTHON = "/usr/bin/python3";
const NOBODY = 65_534;

/** Inside, `prlimit` lowers the limits of what it starts. */
function limited(limits: ProgramLimits): string[] {
  const bytes = limits.memoryMb * 2 ** 20;
  return [
    "/usr/bin/prlimit",
    `--as=${bytes}`,
    `--cpu=${limits.cpuSeconds}`,
    `--nproc=${limits.processes}`,
    `--fsize=${bytes}`,
    "--nofile=64",
    "--core=0",
  ];
}

/** What Python, its packages and their libraries need of the system; not /usr/src, where images keep projects. */
const SYSTEM = [
  ...["bin", "lib", "lib32", "lib64", "libexec", "share", "local/lib"].map((name) => `/usr/${name}`),
  ...["/etc/alternatives", "/etc/ld.so.cache"],
];

/** Folders of the caller that lie inside what is shown are covered by empty ones. */
function covered(): string[] {
  const own = [homedir(), process.cwd()].filter((path) =>
    SYSTEM.some((shown) => path.startsWith(`${shown}/`)),
  );
  return own.flatMap((path) => ["--tmpfs", path]);
}

/** Bytes of /dev/shm, where Python has the semaphores of its processes. */
const SHARED_BYTES = 16 * 2 ** 20;

/**
 * Arguments of bwrap; files come in by file descriptor, from 3 on, then the filter of system calls where there is one. `start` are
 * Python's before the program's path. `readOnly`: nothing can be written, not even in /tmp.
 */
export function bubblewrapArguments(
  limits: ProgramLimits,
  files: readonly string[],
  start: readonly string[] = [],
  filtered = false,
  readOnly = false,
): string[] {
  const system = [...SYSTEM.flatMap((p) => ["--ro-bind-try", p, p]), ...covered()];
  const links = ["bin", "lib", "lib64", "sbin"].flatMap((name) => ["--symlink", `usr/${name}`, `/${name}`]);
  const data = files.flatMap((name, i) => ["--ro-bind-data", String(3 + i), `/program/${name}`]);
  return [
    ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--clearenv"],
    ["--uid", String(NOBODY), "--gid", String(NOBODY), "--hostname", "sandbox", "--cap-drop", "ALL"],
    system,
    links,
    [
      "--proc",
      "/proc",
      "--dev",
      "/dev",
      "--perms",
      "1777",
      "--size",
      String(SHARED_BYTES),
      "--tmpfs",
      "/dev/shm",
    ],
    ["--remount-ro", "/dev", ...(filtered ? ["--seccomp", String(3 + files.length)] : [])],
    ["--size", String(limits.memoryMb * 2 ** 20), "--tmpfs", "/tmp"],
    ["--dir", "/program", ...data, "--remount-ro", "/", "--chdir", "/tmp"],
    readOnly ? ["--remount-ro", "/tmp", "--remount-ro", "/dev/shm"] : [],
    ["--setenv", "PATH", "/usr/bin", "--setenv", "HOME", "/tmp", "--setenv", "LANG", "C.UTF-8"],
    ["--setenv", "OPENBLAS_NUM_THREADS", "1", "--setenv", "PYTHONDONTWRITEBYTECODE", "1"],
    ["--", ...limited(limits), PYTHON, "-u", "-B", ...start, "/program/main.py"],
  ].flat();
}

/** As root, bwrap itself runs as nobody: limits on processes do not bind root. */
function unprivileged(): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
}

/** Where bwrap is: it is started without the caller's environment, so without its PATH. */
export function bubblewrapPath(): string | undefined {
  const places = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder.startsWith("/"));
  return [...places, "/usr/bin"]
    .map((folder) => join(folder, "bwrap"))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

let state: { usable: boolean; why: string } | undefined;

/** Whether programs can be locked in here; tried once. */
export function bubblewrapState(): { usable: boolean; why: string } {
  if (state) return state;
  if (process.platform !== "linux") state = { usable: false, why: "bubblewrap needs Linux" };
  else if (!existsSync(PYTHON) || !existsSync("/usr/bin/prlimit")) {
    state = { usable: false, why: `${PYTHON} or /usr/bin/prlimit is not installed` };
  } else if (bubblewrapPath() === undefined) state = { usable: false, why: "bwrap is not installed" };
  else {
    const probe = ["--unshare-all", "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib"];
    const run = spawnSync(
      bubblewrapPath()!,
      [...probe, "--symlink", "usr/lib64", "/lib64", "--", "/usr/bin/true"],
      {
        ...unprivileged(),
        env: {},
        timeout: 5000,
        encoding: "utf8",
      },
    );
    if (run.error) state = { usable: false, why: `bwrap cannot be started: ${run.error.message}` };
    else if (run.status !== 0)
      state = { usable: false, why: `bwrap cannot run here: ${run.stderr.trim().split("\n")[0]}` };
    else state = { usable: true, why: "" };
  }
  return state;
}
