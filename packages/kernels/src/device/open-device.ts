// Opens the device that a stage asked for.
import { NsaError } from "@nsa/core";
import { z } from "zod";
import { Device } from "./device.ts";

/** The setting behind {@link openDevice}'s option of the same name. */
export const memoryLimitMb = z
  .number()
  .min(0)
  .default(0)
  .describe("Most memory that tensors may take on the device, MiB; 0 = all there is");

/** `auto` takes CUDA where it works and says once why not; a GPU is said with what multiplies matrices. Throws NsaError (exit 2 or 4). */
export function openDevice(
  wanted: string,
  options: { threads?: number; ordinal?: number; memoryLimitMb?: number; log?: (text: string) => void } = {},
): Device {
  const { threads, ordinal, memoryLimitMb = 0, log } = options;
  const memoryLimit = memoryLimitMb * 2 ** 20;
  const openGpu = () => {
    const device = Device.open("cuda", { ordinal, memoryLimit });
    const { name, gemm } = device.info;
    log?.(`device: cuda (${[name, gemm].filter(Boolean).join(", ")})`);
    return device;
  };
  if (wanted === "cuda") return openGpu();
  if (wanted === "cpu" || wanted === "reference") return Device.open(wanted, { threads, memoryLimit });
  if (wanted !== "auto") {
    throw new NsaError({
      code: "device_unknown",
      what: `device ${wanted}`,
      why: "there is no such device",
      fix: "use auto, cpu or cuda",
      exitCode: 2,
    });
  }
  try {
    return openGpu();
  } catch (error) {
    if (!(error instanceof NsaError)) throw error;
    log?.(`device: cpu (${error.why})`);
    return Device.open("cpu", { threads, memoryLimit });
  }
}
