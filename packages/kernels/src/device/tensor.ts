// A tensor, and what the device it lives on offers. Types only where they name each other: the device itself is in device.ts.
import type { DataArray, RawStats } from "./addon.ts";
import type { Arena } from "./arena.ts";
import type { DeviceComm } from "./comm.ts";
import type { Dtype } from "./dtype.ts";
import type { Tenant } from "./failure.ts";
import type { Scope } from "./scope.ts";

export type DeviceName = "cpu" | "cuda" | "reference";

/** Values of an op's fields by name: tensors for buffers, numbers for the rest; optional buffers may be left out. */
export type OpArgs = Record<string, Tensor | number | boolean | undefined>;

/** Floating-point operations (a multiply-add as 2) and bytes that must at least move. */
export interface OpCost {
  flops: number;
  bytes: number;
}

/** Device time and work of one op over a profiled stretch. */
export interface OpProfile extends OpCost {
  op: string;
  calls: number;
  ms: number;
}

/** Ops recorded once and run again by `launch`. */
export interface CapturedStep {
  launch(): void;
  destroy(): void;
}

/** An open backend: memory, transfers, and the one function every op goes through. Opened by `Device.open`. */
export interface Device {
  readonly name: DeviceName;
  readonly info: Record<string, string | number>;
  /** Whether the backend has this op at all. */
  supports(op: string): boolean;
  /** Names of all ops in the ABI. */
  opNames(): string[];
  /** Runs one op. Missing or unknown fields, stale tensors and sizes that do not fit throw. */
  run(op: string, args: OpArgs): void;
  /** Starts to time every op (by device events; each op then waits for the device); returns what ends it. */
  profile(): () => OpProfile[];
  /** Whether ops are being timed one by one. */
  readonly profiled: boolean;
  /** Names what `body` does for a profiler that watches from outside (NVTX). */
  range<R>(name: string, body: () => R): R;
  /** How matmuls of the shapes met so far are done, as text; empty where the backend has one way only. */
  readonly matmulPlans: string;
  /** Takes plans of an earlier run over for shapes to come. */
  usePlans(text: string): void;
  /** From now on new matmul shapes are timed with several algorithms, and the fastest is kept. */
  tune(): void;
  /** Device time of what `body` asks for. Waits. Backends without a clock of their own run at once: the host's serves. */
  milliseconds(body: () => void): number;
  /** New tensor with undefined contents, owned by the innermost scope. */
  empty(shape: readonly number[], dtype: Dtype): Tensor;
  full(shape: readonly number[], dtype: Dtype, value: number): Tensor;
  zeros(shape: readonly number[], dtype: Dtype): Tensor;
  /** Tensor holding the given host values. */
  from(values: ArrayLike<number>, shape: readonly number[], dtype: Dtype): Tensor;
  reshape(t: Tensor, shape: readonly number[]): Tensor;
  view(t: Tensor, offset: number, shape: readonly number[]): Tensor;
  write(t: Tensor, values: ArrayLike<number>, offset: number): void;
  /**
   * Begins to read a tensor behind the work given so far; the returned function waits for it alone, not for what was given
   * since. A slot (0–7) holds one read at a time. A tensor of more than 64 KiB is read before this returns. The values come in
   * the tensor's own type where that is a number's.
   */
  fetch(t: Tensor, slot: number): () => Exclude<DataArray, BigInt64Array>;
  read(t: Tensor): Float64Array;
  /** The tensor's memory in its own type (bf16 as 16-bit words). Waits for the device. */
  readRaw(t: Tensor): DataArray;
  /** Fills `into`, an array of the tensor's own type, with the elements from `offset` on. Waits for the device. */
  readInto(t: Tensor, into: DataArray, offset?: number): void;
  /** Writes raw memory in the tensor's own type. */
  writeRaw(t: Tensor, data: DataArray, offset?: number): void;
  isLive(t: Tensor): boolean;
  free(t: Tensor): void;
  /** Says what a long-lived tensor is for: it is named so when memory is full. */
  label<T extends Tensor>(t: T, purpose: string): T;
  /** Live memory by purpose, the largest first. */
  tenants(): Tenant[];
  /** Opens a scope: `using scope = device.scope()`; tensors made until its end are freed with it unless kept. */
  scope(): Scope;
  sync(): void;
  /** Operations between this process's device and those of others. */
  readonly comm: DeviceComm;
  /** Bytes and handles in use; `resetPeak` starts a new peak. */
  stats(resetPeak?: boolean): RawStats;
  readonly canCapture: boolean;
  /** Memory for steps that are repeated; see {@link Arena}. */
  arena(): Arena;
  /**
   * Records the ops that `body` asks for, which are not run; `launch` runs them on the same memory. That is the arena's
   * in which it was recorded, or else the step's own: tensors made inside stay apart until `destroy`.
   */
  capture(body: () => void): CapturedStep;
  /** Marks a point in device time (slot 0–63). */
  mark(slot: number): void;
  /** Milliseconds between two marks. */
  elapsedMs(from: number, to: number): number;
  close(): void;
}

/** Row-major contiguous tensor. Its memory lives until its scope ends or `free()` is called. */
export class Tensor {
  /** Filled by Tape.backward for tensors with `requiresGrad`; a parameter's gradient is accumulated here. */
  grad: Tensor | undefined;

  constructor(
    readonly device: Device,
    readonly handle: number,
    readonly shape: readonly number[],
    readonly dtype: Dtype,
    public requiresGrad = false,
  ) {}

  get numel(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }

  /** The same memory under another shape of equal size; shares the handle and so the lifetime. */
  reshape(...shape: number[]): Tensor {
    return this.device.reshape(this, shape);
  }

  /** Elements [offset, offset + size(shape)) as a tensor of its own; dies with this one. */
  view(offset: number, shape: readonly number[]): Tensor {
    return this.device.view(this, offset, shape);
  }

  /** Copies the host values in (numbers are converted to the tensor's dtype). Waits. */
  write(values: ArrayLike<number>, offset = 0): this {
    this.device.write(this, values, offset);
    return this;
  }

  /** All values as numbers. Waits for the device. */
  read(): Float64Array {
    return this.device.read(this);
  }

  /** The single value of a one-element tensor. */
  item(): number {
    return this.read()[0]!;
  }

  get isLive(): boolean {
    return this.device.isLive(this);
  }

  free(): void {
    this.device.free(this);
  }
}
