// The `logging` section of a recipe: where metrics go besides metrics.jsonl.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { atomicWriteFile } from "../atomic.ts";
import { MlflowSink } from "./mlflow.ts";
import type { MetricSink } from "./sink.ts";
import { TensorBoardSink } from "./tensorboard.ts";

export const loggingSchema = z
  .strictObject({
    tensorboard: z.boolean().default(false).describe("Also write events.out.tfevents.* into the run folder"),
    mlflow: z
      .strictObject({
        uri: z.url().describe("Address of an MLflow tracking server; one that is away does not stop the run"),
        experiment: z.string().default("nsa").describe("MLflow experiment; made where it is missing"),
      })
      .optional()
      .describe("Also send metrics to an MLflow server"),
  })
  .prefault({})
  .describe("Where metrics go besides metrics.jsonl");

export type LoggingConfig = z.output<typeof loggingSchema>;

/** Opens the sinks of a run; a resumed run continues its event file and its MLflow run (kept in mlflow.json). */
export function openSinks(
  logging: LoggingConfig,
  options: { runDir: string; runName: string; time: number; onError: (reason: string) => void },
): MetricSink[] {
  const sinks: MetricSink[] = [];
  if (logging.tensorboard) sinks.push(new TensorBoardSink(options.runDir, options.time));
  if (logging.mlflow) {
    const kept = join(options.runDir, "mlflow.json");
    const { run_id } = existsSync(kept)
      ? (JSON.parse(readFileSync(kept, "utf8")) as { run_id: string })
      : { run_id: undefined };
    sinks.push(
      new MlflowSink({
        ...logging.mlflow,
        runName: options.runName,
        runId: run_id,
        onRun: (id) => atomicWriteFile(kept, JSON.stringify({ run_id: id })),
        onError: options.onError,
      }),
    );
  }
  return sinks;
}
