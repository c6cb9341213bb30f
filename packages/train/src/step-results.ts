// Losses and metrics of a step's micro-batches, gathered on the device and read once.
import type { Device, Tensor } from "@nsa/kernels";

/** What a micro-batch found, by name: scalars on the device, or numbers. */
export type StepPart = Record<string, Tensor | number>;

/** Most names of a step, the loss included. */
export const MAX_RESULTS = 48;

/** Adds the figures of a micro-batch to sums over a step; names ending in `_max` take the largest. */
export function addPart(sums: Record<string, number>, part: Record<string, number>): void {
  for (const [name, x] of Object.entries(part))
    sums[name] = name.endsWith("_max") ? Math.max(sums[name] ?? -Infinity, x) : (sums[name] ?? 0) + x;
}

export class StepResults {
  /** [MAX_RESULTS, capacity]: a row for each name, a column for each micro-batch. The first row holds the losses. */
  private table: Tensor | undefined;
  private capacity = 0;
  private names: string[] = [];
  /** What each micro-batch gave by name: a number, or undefined for a value in the table. */
  private parts: Map<string, number | undefined>[] = [];

  constructor(
    private readonly device: Device,
    private readonly dtype: "f32" | "f64",
  ) {}

  /** Starts a step. */
  begin(microBatches: number): void {
    // A rank without a micro-batch has a loss of 0.
    const wanted = Math.max(1, microBatches);
    if (wanted > this.capacity) {
      this.table?.free();
      using scope = this.device.scope();
      this.table = scope.detach(this.device.empty([MAX_RESULTS, wanted], this.dtype));
      this.capacity = wanted;
    }
    this.device.run("fill", { x: this.table!, value: 0 });
    this.names = ["loss"];
    this.parts = Array.from({ length: microBatches }, () => new Map());
  }

  /** Takes a micro-batch's results over: the tensors may be freed afterwards. */
  put(microBatch: number, part: StepPart): void {
    for (const [name, value] of Object.entries(part)) {
      this.parts[microBatch]!.set(name, typeof value === "number" ? value : undefined);
      if (typeof value === "number") continue;
      if (!this.names.includes(name)) this.names.push(name);
      const row = this.names.indexOf(name);
      if (row >= MAX_RESULTS) throw new Error(`a step has at most ${MAX_RESULTS - 1} metrics`);
      const y = this.table!.view(row * this.capacity + microBatch, [1]);
      this.device.run("copy", { x: value, y });
      y.free();
    }
  }

  /** The losses of the step, and zeros, [capacity]; owned by the innermost scope. */
  losses(): Tensor {
    return this.table!.view(0, [this.capacity]);
  }

  /** Identity of the memory behind `losses`. */
  get memory(): number {
    return this.table!.handle;
  }

  /** Sums over micro-batches; names ending in `_max` take the largest. Waits. */
  read(): Record<string, number> {
    const used = this.table!.view(0, [this.names.length * this.capacity]);
    const values = used.read();
    used.free();
    const sums: Record<string, number> = { loss: 0 };
    for (const [i, part] of this.parts.entries()) {
      for (const [name, number] of part) {
        addPart(sums, { [name]: number ?? values[this.names.indexOf(name) * this.capacity + i]! });
      }
    }
    return sums;
  }

  free(): void {
    this.table?.free();
    this.table = undefined;
    this.capacity = 0;
  }
}
