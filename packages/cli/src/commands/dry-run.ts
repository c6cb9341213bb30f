// `--dry-run`: what a stage would cost, with a time from the rate at which this machine multiplies matrices now.
import { NsaError, type StageDefinition, sameSize } from "@nsa/core";
import { openDevice } from "@nsa/kernels";
import { worldOf } from "../child/run-ranks.ts";
import { count, duration, percent } from "../view/format.ts";
import { describeLargest, largestModel, memoryOf } from "./largest-model.ts";
import type { CheckedStage } from "./pipeline-recipe.ts";
import { processBytes } from "./process-memory.ts";
import { matmulRate } from "./self-check.ts";

/** Share of the matmul's rate that whole training steps reached: quickstart on two cores, see docs/LOG.md. */
const STEP_SHARE = 0.5;

function show(key: string, value: number): string {
  if (key.endsWith("_bytes")) return `${(value / 2 ** 20).toFixed(1)} MiB`;
  return key.endsWith("_share") ? percent(value) : count(value);
}

/** Name of the backend that a run would take; undefined where the wanted one cannot be used. */
function deviceName(wanted: string): "cpu" | "cuda" | undefined {
  try {
    const device = openDevice(wanted);
    const { name } = device;
    device.close();
    return name === "cuda" ? "cuda" : "cpu";
  } catch (error) {
    // The cost of a run can be asked on a machine that could not run it.
    if (error instanceof NsaError) return undefined;
    throw error;
  }
}

/** Seconds of an estimate at the rate of this machine's backend; undefined where FLOPs or the backend are not known. */
function timer(wanted: string): {
  device?: string;
  seconds: (flops: number | undefined) => number | undefined;
} {
  const device = deviceName(wanted);
  let rate: number | undefined;
  return {
    device,
    seconds: (flops) => {
      if (flops === undefined || !device) return undefined;
      rate ??= matmulRate(device);
      return flops / (rate * STEP_SHARE);
    },
  };
}

interface Estimated {
  stage: Pick<StageDefinition, "estimate">;
  config: unknown;
  estimate: Record<string, number>;
}

/** Prints the estimate; with `json`, the plain numbers as one object. */
export function printEstimate(
  { stage, config, estimate: whole }: Estimated,
  options: { device: string; json?: boolean; ranks?: string },
): void {
  const { device, seconds: secondsOf } = timer(options.device);
  const world = worldOf(options, (text) => console.error(text));
  const estimate = world === 1 ? whole : stage.estimate(config, options.device, sameSize, world);
  const seconds = secondsOf(estimate.flops);
  // On a GPU tensors are elsewhere.
  const bytes = device === "cuda" ? undefined : processBytes(estimate, config);
  const limit = (config as { memoryLimitMb?: number }).memoryLimitMb;
  // Each rank has all weights and gradients, and one micro-batch at a time; ranks of the CPU share its memory, others have a GPU each.
  const sharing = device === "cpu" ? world : 1;
  const memory = device ? Math.min(memoryOf(device, limit), memoryOf(device) / sharing) : 0;
  const largest = device && largestModel(stage, config, device, memory, world);
  const ranks =
    world === 1 ? {} : { ranks: world, ...(bytes === undefined ? {} : { all_ranks_bytes: world * bytes }) };
  if (options.json) {
    const { memory: available, fits, next } = largest || {};
    const figures = {
      device_memory_bytes: available,
      largest_model_parameters: fits?.estimate.parameters,
      largest_model_bytes: fits?.estimate.memory_bytes,
      next_model_parameters: next?.estimate.parameters,
      next_model_bytes: next?.estimate.memory_bytes,
    };
    console.log(
      JSON.stringify({
        ...estimate,
        ...(bytes === undefined ? {} : { process_bytes: bytes }),
        ...(seconds === undefined ? {} : { seconds }),
        ...ranks,
        ...figures,
      }),
    );
    return;
  }
  for (const [key, value] of Object.entries(estimate))
    console.log(`${key.replace(/_bytes$/, "")}\t${show(key, value)}`);
  if (bytes !== undefined) console.log(`process\t${show("process_bytes", bytes)}`);
  if (world > 1) {
    const together =
      bytes === undefined ? " on a GPU of its own" : `; together ${show("_bytes", world * bytes)}`;
    console.log(`ranks\t${world}, each with the memory above${together}`);
  }
  if (seconds !== undefined) console.log(`time\t${duration(seconds)} on ${device}, a rough guess`);
  if (largest) console.log(`largest model\t${describeLargest(largest, count)}`);
}

/** One line a stage, and the time of those whose FLOPs are known; with `json`, the numbers by stage. */
export function printPipelineEstimate(
  plan: readonly CheckedStage[],
  options: { device: string; json?: boolean },
): void {
  const { device, seconds: secondsOf } = timer(options.device);
  const stages = plan.map(({ stage, estimate }) => {
    const seconds = secondsOf(estimate.flops);
    return {
      stage,
      all: { ...estimate, ...(seconds === undefined ? {} : { seconds }) } as Record<string, number>,
    };
  });
  const total = stages.reduce((sum, { all }) => sum + (all.seconds ?? 0), 0);
  if (options.json) {
    const byName = Object.fromEntries(stages.map(({ stage, all }) => [stage.name, all]));
    console.log(JSON.stringify({ stages: byName, seconds: total }));
    return;
  }
  for (const { stage, all } of stages) {
    const told = ["parameters", "tokens", "tokens_at_most", "answers", "pages", "flops", "memory_bytes"]
      .filter((key) => all[key] !== undefined)
      .map((key) => `${key.replace(/_(bytes|at_most)$/, "")} ${show(key, all[key]!)}`);
    if (all.seconds !== undefined) told.push(duration(all.seconds));
    console.log([stage.name, stage.stage, ...told].join("\t"));
  }
  console.log(`time\t${duration(total)} on ${device ?? "?"} for training and sampling, a rough guess`);
}
