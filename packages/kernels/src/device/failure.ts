// What the native side's errors mean to a user: full memory with its largest tenants, a lost device, an op that is missing.
import { ExitCode, NsaError } from "@nsa/core";

/** Live memory of one purpose. */
export interface Tenant {
  /** A name given by `Device.label`, or the op whose inputs or outputs it is. */
  purpose: string;
  bytes: number;
  tensors: number;
}

export interface FailingDevice {
  name: string;
  tenants(): Tenant[];
}

const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
const SHOWN = 4;

/** The setting that makes the largest tenant smaller. */
function remedy({ purpose }: Tenant): string {
  if (purpose === "KV cache")
    return "lower the tokens of the cache: rollout.cache_tokens, cache_tokens or --cache-tokens";
  if (purpose === "moments") return "set train.optimizer.state_dtype: bf16, or train a smaller model";
  if (purpose === "weights" || purpose === "masters" || purpose === "gradients")
    return "train a smaller model";
  if (purpose.includes("lm_head")) return "lower train.logits_budget_mb or train.micro_batch_tokens";
  return "lower train.micro_batch_tokens, or set train.recompute: true";
}

/** Turns an error of the native side into one of ours; others come back as they are. `op`: what was being done. */
export function explain(cause: unknown, op: string, device: FailingDevice): Error {
  const error = cause as Error & { code?: string };
  switch (error.code) {
    case "out_of_memory": {
      const tenants = device.tenants();
      const largest = tenants
        .slice(0, SHOWN)
        .map((t) => `${t.purpose} ${mib(t.bytes)}`)
        .join(", ");
      return new NsaError({
        code: "out_of_memory",
        what: `out of memory on ${device.name} in ${op}`,
        why: `${error.message}; most of it: ${largest || "nothing of this run"}`,
        fix: tenants[0]
          ? remedy(tenants[0])
          : "free the device: another process holds its memory (see nvidia-smi)",
        exitCode: ExitCode.diverged,
        cause,
      });
    }
    case "unsupported":
      return new NsaError({
        code: "op_unsupported",
        what: `${op} is not built for device ${device.name}`,
        why: error.message,
        fix: "use another device or dtype",
        exitCode: ExitCode.unavailable,
        cause,
      });
    case "device_error":
      return new NsaError({
        code: "device_lost",
        what: `the ${device.name} device failed in ${op}`,
        why: error.message,
        fix: "go on from the last checkpoint with --resume; `dmesg` and nvidia-smi say more about the card",
        exitCode: ExitCode.unavailable,
        cause,
      });
    default:
      return error;
  }
}
