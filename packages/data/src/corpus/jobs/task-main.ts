// Entry of a worker process: runs tasks that the parent sends, or one element of a Slurm array.
import { readFileSync } from "node:fs";
import { TASKS } from "../steps/table.ts";
import type { Manifest } from "./manifest.ts";
import { runTask, type Task } from "./task.ts";

export interface WorkItem {
  task: Task;
  fingerprint: string;
}

export type WorkerReply =
  | { manifest: Manifest }
  | { error: { name: string; message: string; fields?: Record<string, unknown> } };

function describe(error: unknown): { name: string; message: string; fields?: Record<string, unknown> } {
  const e = error as Error & Record<string, unknown>;
  const { code, what, why, fix, exitCode } = e;
  return {
    name: e.name,
    message: e.message,
    ...(what ? { fields: { code, what, why, fix, exitCode } } : {}),
  };
}

if (process.send) {
  process.on("disconnect", () => process.exit(0));
  process.on("message", async ({ outDir, item }: { outDir: string; item: WorkItem }) => {
    try {
      const manifest = await runTask(TASKS, outDir, item.task, item.fingerprint);
      process.send!({ manifest } satisfies WorkerReply);
    } catch (error) {
      process.send!({ error: describe(error) } satisfies WorkerReply);
    }
  });
} else {
  const [list, element] = process.argv.slice(2) as [string, string];
  const { outDir, work } = JSON.parse(readFileSync(list, "utf8")) as { outDir: string; work: WorkItem[] };
  const item = work[Number(element)]!;
  await runTask(TASKS, outDir, item.task, item.fingerprint);
}
