// Opens the device that a stage asked for.
import { NsaError } from "@nsa/core";
import { Device } from "@nsa/kernels";

/** `auto` takes CUDA where it works and says once why not. Throws NsaError (exit 2 or 4). */
export function openDevice(
  wanted: string,
  options: { threads?: number; log?: (text: string) => void } = {},
): Device {
  const { threads, log } = options;
  if (wanted === "cpu" || wanted === "reference" || wanted === "cuda")
    return Device.open(wanted, { threads });
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
    return Device.open("cuda");
  } catch (error) {
    if (!(error instanceof NsaError)) throw error;
    log?.(`device: cpu (${error.why})`);
    return Device.open("cpu", { threads });
  }
}
