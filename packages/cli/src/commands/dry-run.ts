// `--dry-run`: what a stage would cost, with a time from the rate at which this machine multiplies matrices now.
import { NsaError } from "@nsa/core";
import { openDevice } from "@nsa/model";
import { count, duration, percent } from "../view/format.ts";
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

/** Prints the estimate; with `json`, the plain numbers as one object. */
export function printEstimate(
  estimate: Record<string, number>,
  options: { device: string; json?: boolean },
): void {
  const all = { ...estimate };
  const device = deviceName(options.device);
  if (all.flops !== undefined && device) all.seconds = all.flops / (matmulRate(device) * STEP_SHARE);
  if (options.json) {
    console.log(JSON.stringify(all));
    return;
  }
  const { seconds, ...rest } = all;
  for (const [key, value] of Object.entries(rest))
    console.log(`${key.replace(/_bytes$/, "")}\t${show(key, value)}`);
  if (seconds !== undefined) console.log(`time\t${duration(seconds)} on ${device}, a rough guess`);
}
