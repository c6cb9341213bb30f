// A tensor: a handle on device memory with a shape. Lifetimes are explicit: scopes free what they saw allocated.
import type { Device } from "./device.ts";
import type { Dtype } from "./dtype.ts";

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
