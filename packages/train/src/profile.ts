// `--profile`: one step op by op: device time, rates, and their share of what the device reaches at best.
import { join } from "node:path";
import { atomicWriteFile, type StageContext } from "@nsa/core";
import { type Ceilings, type Device, measureCeilings, type OpProfile } from "@nsa/kernels";
import type { Transformer } from "@nsa/model";

interface ProfiledOp {
  op: string;
  calls: number;
  ms: number;
  /** Of the device time of the step. */
  share: number;
  tflops: number;
  /** Of the matmul's rate. */
  flops_share: number;
  gb_per_s: number;
  /** Of the copy's rate. */
  bytes_share: number;
}

export interface StepProfile {
  step: number;
  device: string;
  /** Device time, the sum over ops; each op waits for the one before, so it is without overlap. */
  ms: number;
  /** Measured on the spot: a square matmul in the model's dtype, a copy in f32. */
  ceiling_tflops: number;
  ceiling_gb_per_s: number;
  ops: ProfiledOp[];
}

/** Times the ops of one step of a run, where that was asked for. */
export class StepProfiler {
  private stop: (() => OpProfile[]) | undefined;
  private ceilings: Ceilings | undefined;

  /** `warmStep`: the step to take; by then shapes and kernels were met before. */
  constructor(
    private readonly model: Transformer,
    private readonly context: Pick<StageContext, "profile" | "runDir" | "log">,
    private readonly warmStep: number,
  ) {}

  begin(step: number): void {
    const { device, config } = this.model;
    if (!this.context.profile || step !== this.warmStep) return;
    this.ceilings = measureCeilings(device, config.dtype === "bf16" ? "bf16" : "f32");
    this.stop = device.profile();
  }

  /** Ends the step; writes profile.json and tells the dearest ops where this was the step. */
  end(): void {
    const rows = this.stop?.();
    this.stop = undefined;
    if (rows) recordProfile(profileOf(this.model.device, this.warmStep, rows, this.ceilings!), this.context);
  }
}

function profileOf(device: Device, step: number, rows: OpProfile[], ceilings: Ceilings): StepProfile {
  const ms = rows.reduce((sum, row) => sum + row.ms, 0);
  return {
    step,
    device: String(device.info.name ?? device.name),
    ms,
    ceiling_tflops: ceilings.flops / 1e12,
    ceiling_gb_per_s: ceilings.bytes / 1e9,
    ops: rows.map((row) => {
      const seconds = Math.max(row.ms, 1e-6) / 1000;
      return {
        op: row.op,
        calls: row.calls,
        ms: row.ms,
        share: row.ms / ms,
        tflops: row.flops / seconds / 1e12,
        flops_share: row.flops / seconds / ceilings.flops,
        gb_per_s: row.bytes / seconds / 1e9,
        bytes_share: row.bytes / seconds / ceilings.bytes,
      };
    }),
  };
}

const SHOWN = 12;

/** Writes profile.json into the run folder, where the report finds it, and tells the dearest ops as lines. */
function recordProfile(profile: StepProfile, context: Pick<StageContext, "runDir" | "log">): void {
  atomicWriteFile(join(context.runDir, "profile.json"), `${JSON.stringify(profile, null, 2)}\n`);
  const { ms, ceiling_tflops, ceiling_gb_per_s } = profile;
  context.log(
    `profile of step ${profile.step} on ${profile.device}: ${ms.toFixed(2)} ms in ops; a matmul reaches ` +
      `${ceiling_tflops.toPrecision(3)} TFLOP/s, a copy ${ceiling_gb_per_s.toPrecision(3)} GB/s`,
  );
  for (const row of profile.ops.slice(0, SHOWN)) {
    const rate =
      row.tflops > 0
        ? `${row.tflops.toPrecision(3)} TFLOP/s (${(100 * row.flops_share).toFixed(0)} %)`
        : `${row.gb_per_s.toPrecision(3)} GB/s (${(100 * row.bytes_share).toFixed(0)} %)`;
    const percent = (100 * row.share).toFixed(1).padStart(5);
    context.log(`${percent} %  ${row.ms.toFixed(3).padStart(9)} ms  ${row.op} ×${row.calls}  ${rate}`);
  }
}
