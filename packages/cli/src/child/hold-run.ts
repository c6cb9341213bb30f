// One trainer process a run folder: a killed command may leave its trainer saving while the next one starts.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { ExitCode, NsaError } from "@nsa/core";

const POLL_MS = 50;
/** A trainer whose command is gone saves after its step and ends. */
const PATIENCE_MS = 120_000;

/** Whether the process is alive and, where the system tells, a Node process: ids are used again. */
function isTrainer(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("trainer-main");
  } catch {
    return true;
  }
}

function inUse(runDir: string, pid: number): NsaError {
  return new NsaError({
    code: "run_in_use",
    what: `the run ${runDir} is being written by process ${pid}`,
    why: "two trainers in one folder would mix their records",
    fix: "wait for the other to end, or end it",
    exitCode: ExitCode.usage,
  });
}

/** Takes the folder, waiting for a trainer that is still in it. Throws NsaError `run_in_use` (exit 2). */
export async function holdRun(runDir: string, patienceMs = PATIENCE_MS): Promise<Disposable> {
  const path = join(runDir, "trainer.pid");
  for (let waited = 0; ; waited += POLL_MS) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    let pid = 0;
    try {
      pid = Number(readFileSync(path, "utf8"));
    } catch {
      continue;
    }
    if (pid === 0 && waited < patienceMs) {
      // Made a moment ago and not written yet, or left empty by a kill.
      if (waited > 2 * POLL_MS) rmSync(path, { force: true });
    } else if (!isTrainer(pid)) rmSync(path, { force: true });
    else if (waited >= patienceMs) throw inUse(runDir, pid);
    await setTimeout(POLL_MS);
  }
}
