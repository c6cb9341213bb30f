// What the run ran on: commit, Node, CPU, ISA, memory. Written to env.json of every run.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";

export interface Environment {
  gitCommit: string | null;
  gitDirty: boolean | null;
  node: string;
  os: string;
  cpu: string;
  cores: number;
  isa: string;
  memoryGib: number;
}

/** The widest vector instruction set that the operating system reports. */
export function cpuIsa(): string {
  if (process.arch === "arm64") return "neon";
  let flags = "";
  try {
    flags = / *flags\s*:(.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
  } catch {
    return process.arch;
  }
  const has = new Set(flags.trim().split(/\s+/));
  if (has.has("amx_bf16") && has.has("avx512_bf16")) return "amx-bf16";
  if (has.has("avx512_bf16")) return "avx512-bf16";
  if (has.has("avx512f") && has.has("avx512bw")) return "avx512";
  if (has.has("avx2") && has.has("fma")) return "avx2-fma";
  return "baseline";
}

function git(args: string[], cwd: string): string | null {
  try {
    return execFileSync("git", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return null;
  }
}

/** Describes the machine and the commit of `cwd`; fields that cannot be known are null. */
export function describeEnvironment(cwd: string): Environment {
  const status = git(["status", "--porcelain", "--untracked-files=no"], cwd);
  return {
    gitCommit: git(["rev-parse", "HEAD"], cwd),
    gitDirty: status === null ? null : status !== "",
    node: process.versions.node,
    os: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    isa: cpuIsa(),
    memoryGib: Math.round((totalmem() / 2 ** 30) * 10) / 10,
  };
}
