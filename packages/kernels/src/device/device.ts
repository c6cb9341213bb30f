// An open backend: allocation with scopes, transfers, and the one function every op goes through.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NsaError } from "@nsa/core";
import { type Addon, addon, type DataArray, nativeDir, type RawStats } from "./addon.ts";
import { type Dtype, dtypeCode, fromBf16, hostArray, toBf16 } from "./dtype.ts";
import { Scope } from "./scope.ts";
import { Tensor } from "./tensor.ts";

export type DeviceName = "cpu" | "cuda" | "reference";

export interface DeviceOptions {
  /** Threads of the CPU pool; 0 = all cores. */
  threads?: number;
  /** Index of the GPU. */
  ordinal?: number;
}

/** Values of an op's fields by name: tensors for buffers, numbers for the rest; optional buffers may be left out. */
export type OpArgs = Record<string, Tensor | number | boolean | undefined>;

interface OpFields {
  id: number;
  names: string[];
  kinds: string;
}

let opsByName: Map<string, OpFields> | undefined;

function opTable(native: Addon): Map<string, OpFields> {
  opsByName ??= new Map(
    native.ops.map((op, id) => {
      const parts = op.fields.split(" ");
      return [op.name, { id, names: parts.map((p) => p.slice(1)), kinds: parts.map((p) => p[0]).join("") }];
    }),
  );
  return opsByName;
}

/** Device time of one op over a profiled stretch. */
export interface OpProfile {
  op: string;
  calls: number;
  ms: number;
}

export class Device {
  readonly info: Record<string, string | number>;
  private readonly native: Addon;
  private readonly table: Map<string, OpFields>;
  private scopes: Scope[] = [];
  private closed = false;
  private profiling: Map<string, OpProfile> | undefined;

  private constructor(
    readonly name: DeviceName,
    private readonly id: number,
  ) {
    this.native = addon();
    this.table = opTable(this.native);
    this.info = JSON.parse(this.native.info(id));
  }

  /** Opens a backend. Throws NsaError `device_unavailable` (exit 4) with the reason when it cannot be. */
  static open(name: DeviceName, options: DeviceOptions = {}): Device {
    const native = addon();
    const plugin = name === "cuda" ? join(nativeDir(), "libnsa_cuda.so") : "";
    const unavailable = (why: string, fix: string) =>
      new NsaError({
        code: "device_unavailable",
        what: `device ${name} cannot be used`,
        why,
        fix,
        exitCode: 4,
      });
    if (name === "cuda" && !existsSync(plugin)) {
      throw unavailable(
        "libnsa_cuda.so is not built",
        "run `pnpm build:cuda` where nvcc is, or use `--device cpu`",
      );
    }
    try {
      return new Device(name, native.open(name, plugin, options.threads ?? 0, options.ordinal ?? 0));
    } catch (cause) {
      if (cause instanceof NsaError) throw cause;
      throw unavailable((cause as Error).message, "see `nsa doctor`, or use `--device cpu`");
    }
  }

  /** Whether the backend has this op at all. */
  supports(op: string): boolean {
    const entry = this.table.get(op);
    return entry !== undefined && this.native.supports(this.id, entry.id);
  }

  /** Names of all ops in the ABI. */
  opNames(): string[] {
    return [...this.table.keys()];
  }

  /** Runs one op. Missing or unknown fields, stale tensors and sizes that do not fit throw. */
  run(op: string, args: OpArgs): void {
    const entry = this.table.get(op);
    if (!entry) throw new Error(`no op named ${op}`);
    const { names, kinds } = entry;
    const out = this.native.args;
    let seen = 0;
    for (let i = 0; i < names.length; i++) {
      const value = args[names[i]!];
      if (value === undefined) {
        if (kinds[i] !== "O") throw new Error(`${op}: field '${names[i]}' is missing`);
        out[i] = 0;
        if (names[i]! in args) seen++;
      } else {
        out[i] = typeof value === "object" ? value.handle : Number(value);
        seen++;
      }
    }
    if (seen !== Object.keys(args).length) {
      throw new Error(
        `${op}: unknown field among ${Object.keys(args).join(", ")} (wanted ${names.join(", ")})`,
      );
    }
    try {
      if (this.profiling) this.timed(op, () => this.native.run(this.id, entry.id));
      else this.native.run(this.id, entry.id);
    } catch (cause) {
      throw this.explain(cause as Error & { code?: string }, op);
    }
  }

  /** Starts to time every op by device events (each op then waits for the device); returns what ends it. */
  profile(): () => OpProfile[] {
    const ops = new Map<string, OpProfile>();
    this.profiling = ops;
    return () => {
      this.profiling = undefined;
      return [...ops.values()].sort((a, b) => b.ms - a.ms);
    };
  }

  private timed(op: string, body: () => void): void {
    this.mark(62);
    body();
    this.mark(63);
    const ms = this.elapsedMs(62, 63);
    const entry = this.profiling!.get(op) ?? { op, calls: 0, ms: 0 };
    this.profiling!.set(op, { op, calls: entry.calls + 1, ms: entry.ms + ms });
  }

  private explain(error: Error & { code?: string }, op: string): Error {
    if (error.code === "out_of_memory") {
      return new NsaError({
        code: "out_of_memory",
        what: `out of memory in ${op}`,
        why: error.message,
        fix: "lower train.micro_batch_tokens, or set train.recompute: true",
        exitCode: 5,
        cause: error,
      });
    }
    if (error.code === "unsupported") {
      return new NsaError({
        code: "op_unsupported",
        what: `${op} is not built for device ${this.name}`,
        why: error.message,
        fix: "use another device or dtype",
        exitCode: 4,
        cause: error,
      });
    }
    return error;
  }

  /** New tensor with undefined contents, owned by the innermost scope. */
  empty(shape: readonly number[], dtype: Dtype): Tensor {
    const numel = shape.reduce((a, b) => a * b, 1);
    let handle: number;
    try {
      handle = this.native.alloc(this.id, numel, dtypeCode[dtype]);
    } catch (cause) {
      throw this.explain(cause as Error & { code?: string }, `a tensor [${shape.join(", ")}] ${dtype}`);
    }
    return this.own(new Tensor(this, handle, shape, dtype));
  }

  full(shape: readonly number[], dtype: Dtype, value: number): Tensor {
    const t = this.empty(shape, dtype);
    this.run("fill", { x: t, value });
    return t;
  }

  zeros(shape: readonly number[], dtype: Dtype): Tensor {
    return this.full(shape, dtype, 0);
  }

  /** Tensor holding the given host values. */
  from(values: ArrayLike<number>, shape: readonly number[], dtype: Dtype): Tensor {
    const t = this.empty(shape, dtype);
    this.write(t, values, 0);
    return t;
  }

  reshape(t: Tensor, shape: readonly number[]): Tensor {
    const numel = shape.reduce((a, b) => a * b, 1);
    if (numel !== t.numel) throw new Error(`cannot reshape [${t.shape}] to [${shape}]`);
    const r = new Tensor(this, t.handle, shape, t.dtype, t.requiresGrad);
    r.grad = t.grad;
    return r;
  }

  view(t: Tensor, offset: number, shape: readonly number[]): Tensor {
    const numel = shape.reduce((a, b) => a * b, 1);
    return this.own(new Tensor(this, this.native.view(this.id, t.handle, offset, numel), shape, t.dtype));
  }

  write(t: Tensor, values: ArrayLike<number>, offset: number): void {
    const host = hostArray(t.dtype, values.length);
    if (host.constructor === values.constructor && t.dtype !== "bf16") {
      this.native.transfer(this.id, t.handle, values as unknown as DataArray, offset, 1);
      return;
    }
    if (t.dtype === "bf16") for (let i = 0; i < values.length; i++) host[i] = toBf16(values[i]!);
    else if (t.dtype === "i64") for (let i = 0; i < values.length; i++) host[i] = BigInt(values[i]!);
    else (host as Float32Array).set(values);
    this.native.transfer(this.id, t.handle, host, offset, 1);
  }

  read(t: Tensor): Float64Array {
    const host = this.readRaw(t);
    if (host instanceof Float64Array) return host;
    const out = new Float64Array(host.length);
    if (t.dtype === "bf16") for (let i = 0; i < out.length; i++) out[i] = fromBf16(host[i] as number);
    else for (let i = 0; i < out.length; i++) out[i] = Number(host[i]);
    return out;
  }

  /** The tensor's memory in its own type (bf16 as 16-bit words). Waits for the device. */
  readRaw(t: Tensor): DataArray {
    const host = hostArray(t.dtype, t.numel);
    this.native.transfer(this.id, t.handle, host, 0, 0);
    return host;
  }

  /** Writes raw memory in the tensor's own type. */
  writeRaw(t: Tensor, data: DataArray, offset = 0): void {
    this.native.transfer(this.id, t.handle, data, offset, 1);
  }

  isLive(t: Tensor): boolean {
    return !this.closed && this.native.isLive(this.id, t.handle);
  }

  free(t: Tensor): void {
    this.native.free(this.id, t.handle);
  }

  /** Opens a scope: `using scope = device.scope()`; tensors made until its end are freed with it unless kept. */
  scope(): Scope {
    const scope = new Scope(this, this.scopes.at(-1));
    this.scopes.push(scope);
    return scope;
  }

  /** Called by a scope that ends; scopes end innermost first. */
  endScope(scope: Scope): void {
    if (this.scopes.pop() !== scope) throw new Error("scopes must end in reverse order of their start");
  }

  private own(t: Tensor): Tensor {
    this.scopes.at(-1)?.own(t);
    return t;
  }

  sync(): void {
    this.native.sync(this.id);
  }

  /** Bytes and handles in use; `resetPeak` starts a new peak. */
  stats(resetPeak = false): RawStats {
    return this.native.stats(this.id, resetPeak ? 1 : 0);
  }

  get canCapture(): boolean {
    return this.native.capture(this.id, 4) === 1;
  }

  /** Records the ops that `body` runs; the returned function replays them on the same memory. */
  capture(body: () => void): { launch(): void; destroy(): void } {
    this.native.capture(this.id, 0);
    try {
      body();
    } catch (cause) {
      try {
        this.native.capture(this.id, 3, this.native.capture(this.id, 1));
      } catch {
        // A capture that an error broke has no graph; the error itself says why.
      }
      throw cause;
    }
    const graph = this.native.capture(this.id, 1);
    return {
      launch: () => void this.native.capture(this.id, 2, graph),
      destroy: () => void this.native.capture(this.id, 3, graph),
    };
  }

  /** Marks a point in device time (slot 0–63). */
  mark(slot: number): void {
    this.native.timer(this.id, slot);
  }

  /** Milliseconds between two marks. */
  elapsedMs(from: number, to: number): number {
    return this.native.timer(this.id, from, to);
  }

  close(): void {
    if (!this.closed) this.native.close(this.id);
    this.closed = true;
  }
}
