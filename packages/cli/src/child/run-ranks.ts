// One job in several trainer processes that share every step; one rank is just a child.
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitCode, NsaError, type StageResult } from "@nsa/core";
import type { Job } from "./messages.ts";
import { type ChildOptions, runInChild } from "./run-in-child.ts";

/** The number that --ranks names. Throws `ranks_invalid` (exit 2; 4 on GPUs). */
export function worldOf({ ranks = "1", device }: { ranks?: string; device: string }): number {
  const world = Number(ranks);
  const refuse = (why: string, fix: string, exitCode: ExitCode = ExitCode.usage) =>
    new NsaError({ code: "ranks_invalid", what: `--ranks ${ranks}`, why, fix, exitCode });
  if (!Number.isInteger(world) || world < 1)
    throw refuse("it is not a count", "give a whole number from 1 on");
  if (world > 1 && device === "cuda")
    throw refuse(
      "ranks share the CPU; several GPUs are not built yet",
      "use --device cpu",
      ExitCode.unavailable,
    );
  return world;
}

/** Runs the ranks side by side. When one fails the others are ended, and its error is thrown. */
export async function runRanks(job: Job, world: number, options: ChildOptions): Promise<StageResult> {
  if (world === 1) return runInChild(job, options);
  const { makeRankPipes } = await import("@nsa/kernels");
  const folder = mkdtempSync(join(tmpdir(), "nsa-ranks-"));
  const children: ChildProcess[] = [];
  const failures: Error[] = [];
  try {
    makeRankPipes(folder, world);
    const results = await Promise.all(
      Array.from({ length: world }, async (_, rank) => {
        try {
          return await runInChild(
            { ...job, ranks: { rank, world, folder, runDir: job.runDir } },
            {
              ...options,
              onEvent: rank === 0 ? options.onEvent : () => undefined,
              onStart: (child) => {
                children.push(child);
                options.onStart?.(child);
              },
            },
          );
        } catch (error) {
          failures.push(error as Error);
          // Those that wait for the lost rank in a pipe that never opened would wait for ever.
          setTimeout(() => children.forEach((child) => void child.kill("SIGKILL")), 2000).unref();
          return undefined;
        }
      }),
    );
    // A rank that says another is gone does not know why; the first to fail for a reason of its own does.
    const cause = failures.find((e) => !(e instanceof NsaError && e.code === "rank_lost")) ?? failures[0];
    if (cause) throw cause;
    return results[0]!;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
