// `nsa doctor`: what this machine has, backends with the reason where one cannot be used, and a short self-check.
import { spawnSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { describeEnvironment, describeMachine, ExitCode, NsaError } from "@nsa/core";
import { Device, nativeDir } from "@nsa/kernels";
import { bubblewrapState, pyodideState, unbounded } from "@nsa/tasks";
import { type Check, selfCheck } from "./self-check.ts";

export interface Finding {
  what: string;
  /** no: cannot be used, with the reason; failed: should work and does not. */
  state: "ok" | "no" | "failed";
  text: string;
}

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

function machine(): Finding[] {
  const { gitCommit, gitDirty } = describeEnvironment(process.cwd());
  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
  const disk = statfsSync(process.cwd());
  const commit = gitCommit
    ? `${gitCommit.slice(0, 12)}${gitDirty ? ", changed since" : ""}`
    : "not a git checkout";
  return [
    { what: "machine", state: "ok", text: describeMachine() },
    {
      what: "node",
      state: major > 20 || (major === 20 && minor >= 19) ? "ok" : "failed",
      text: `${process.versions.node}; 20.19 or newer is needed`,
    },
    { what: "memory", state: "ok", text: `${gib(freemem())} free of ${gib(totalmem())}` },
    { what: "disk", state: "ok", text: `${gib(disk.bavail * disk.bsize)} free here` },
    { what: "commit", state: "ok", text: commit },
  ];
}

/** First line of `tool --version`, for tools that some commands need. */
function tool(name: string, needed: string): Finding {
  const run = spawnSync(name, ["--version"], { encoding: "utf8" });
  const line = run.stdout?.split("\n").find((text) => /\d+\.\d+/.test(text));
  if (run.status === 0) return { what: name, state: "ok", text: line ?? "there" };
  return { what: name, state: "no", text: `not found; ${needed}` };
}

function backend(name: "cpu" | "cuda"): { finding: Finding; checks: Check[] } {
  try {
    const device = Device.open(name);
    const text = Object.entries(device.info)
      .filter(([key]) => key !== "device")
      .map(([key, value]) => `${key} ${value}`)
      .join(", ");
    device.close();
    return { finding: { what: name, state: "ok", text }, checks: selfCheck(name) };
  } catch (error) {
    if (!(error instanceof NsaError)) throw error;
    // A machine without a GPU is sound; one whose CPU backend does not load is not.
    const state = name === "cpu" ? "failed" : "no";
    return { finding: { what: name, state, text: `${error.why}; ${error.fix}` }, checks: [] };
  }
}

/** Back ends for programs that a model writes, and what they cannot bound on this machine. */
function sandbox(): Finding[] {
  const backends = [["bubblewrap", bubblewrapState()] as const, ["pyodide", pyodideState()] as const];
  const found = backends.map(
    ([what, { usable, why }]): Finding => ({
      what,
      state: usable ? "ok" : "no",
      text: usable ? "can lock in programs that a model writes" : why,
    }),
  );
  const open = unbounded();
  if (!backends.some(([, { usable }]) => usable)) return found;
  return [
    ...found,
    {
      what: "program limits",
      state: open.length === 0 ? "ok" : "no",
      text:
        open.length === 0
          ? "memory, processes and life of a program are bounded as a whole"
          : `not bounded: ${open.join("; ")}`,
    },
  ];
}

/** Everything found, in the order it is printed. */
export function examine(): Finding[] {
  const findings = machine();
  for (const name of ["cpu", "cuda"] as const) {
    const { finding, checks } = backend(name);
    findings.push(finding);
    for (const check of checks)
      findings.push({ what: `${name} ${check.name}`, state: check.ok ? "ok" : "failed", text: check.text });
  }
  findings.push(...sandbox());
  findings.push({ what: "addon", state: "ok", text: nativeDir() });
  findings.push(tool("cmake", "needed to build the addon"));
  findings.push(tool("c++", "needed to build the addon"));
  findings.push(tool("nvcc", "needed to build the CUDA plugin"));
  return findings;
}

/** Prints the findings; exit code 4 when something that should work does not. */
export async function doctor(options: { json?: boolean }): Promise<number> {
  const findings = examine();
  if (options.json) console.log(JSON.stringify(findings));
  else {
    const width = Math.max(...findings.map(({ what }) => what.length));
    for (const { what, state, text } of findings)
      console.log(`${what.padEnd(width)}  ${(state === "failed" ? "FAILED" : state).padEnd(6)}  ${text}`);
  }
  return findings.some(({ state }) => state === "failed") ? ExitCode.unavailable : ExitCode.ok;
}
