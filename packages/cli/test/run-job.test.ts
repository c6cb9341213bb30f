// A trainer that is stopped before it has the folder leaves the run as it is.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { holdRun } from "../src/child/hold-run.ts";
import { runJob } from "../src/child/run-job.ts";
import { loadStage } from "../src/commands/stages.ts";

const ROW = '{"step":1,"time":1,"a":2}\n';

test.each([true, false])(
  "a_trainer_whose_command_ended_while_another_had_the_folder_changes_nothing_of_the_finished_run_resumed_%s",
  async (resume) => {
    const runDir = mkdtempSync(join(tmpdir(), "nsa-job-"));
    const config = (await loadStage("crawl")).schema.parse({ pages: 20 });
    const stop = new AbortController();
    let late: ReturnType<typeof runJob>;
    {
      using _held = await holdRun(runDir);
      late = runJob({ stage: "crawl", config, runDir, device: "cpu", resume }, stop.signal, () => undefined);
      // The run's other trainer brings it to its end.
      writeFileSync(join(runDir, "metrics.jsonl"), ROW);
      stop.abort();
    }
    expect(await late).toMatchObject({ status: "interrupted", step: 0, outputs: {} });
    expect(readFileSync(join(runDir, "metrics.jsonl"), "utf8")).toBe(ROW);
    expect(readdirSync(runDir).filter((name) => !name.startsWith(".lock"))).toEqual(["metrics.jsonl"]);
    rmSync(runDir, { recursive: true });
  },
);
