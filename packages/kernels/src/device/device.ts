// The device behind the interface of tensor.ts: the addon's calls by device id, scopes, profiles, errors in words.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NsaError } from "@nsa/core";
import { type Addon, addon, type DataArray, nativeDir, type RawStats } from "./addon.ts";
import { Arena } from "./arena.ts";
import { type DeviceComm, deviceComm } from "./comm.ts";
import { costOf } from "./cost.ts";
import { type Dtype, dtypeBytes, dtypeCode, hostArray } from "./dtype.ts";
import { explain, type Tenant } from "./failure.ts";
import { toHost, toNumbers } from "./host-values.ts";
import { type OpFields, opTable, writeArgs } from "./op-table.ts";
import { Scope } from "./scope.ts";
import {
  type CapturedStep,
  type Device as DeviceApi,
  type DeviceName,
  type OpArgs,
  type OpProfile,
  Tensor,
} from "./tensor.ts";

export interface DeviceOptions {
  /** Threads of the CPU pool; 0 = all cores. */
  threads?: number;
  /** Index of the GPU. */
  ordinal?: number;
  /** Bytes that tensors and scratch may take; 0 = all there are. */
  memoryLimit?: number;
  /** Lets a backend without graphs capture steps by writing ops down: the same results, for tests. */
  recordOps?: boolean;
}

/** What a backend holds of a read under way, as the ABI says. */
const FETCH_BYTES = 64 << 10;

class NativeDevice implements DeviceApi {
  readonly info: Record<string, string | number>;
  readonly comm: DeviceComm;
  private readonly native: Addon;
  private readonly table: Map<string, OpFields>;
  private scopes: Scope[] = [];
  private closed = false;
  private profiling: Map<string, OpProfile> | undefined;
  private readonly purposes = new Map<number, string>();

  private constructor(
    readonly name: DeviceName,
    private readonly id: number,
  ) {
    this.native = addon();
    this.table = opTable(this.native);
    this.info = JSON.parse(this.native.info(id));
    this.comm = deviceComm(this.native, id, (what, body) => this.guarded(what, body));
  }

  /** Opens a backend. Throws NsaError `device_unavailable` (exit 4) with the reason when it cannot be. */
  static open(name: DeviceName, options: DeviceOptions = {}): DeviceApi {
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
      const { threads = 0, ordinal = 0, memoryLimit = 0, recordOps } = options;
      return new NativeDevice(
        name,
        native.open(name, plugin, threads, ordinal, memoryLimit, recordOps ? 1 : 0),
      );
    } catch (cause) {
      if (cause instanceof NsaError) throw cause;
      const why = (cause as Error).message;
      // A file that does not load is named by the loader; all else is said of the driver or the card.
      const fix = why.includes("libnsa_cuda.so")
        ? "build it again by `pnpm build:cuda`"
        : "mend what is said above";
      throw unavailable(why, `${fix}, or use \`--device cpu\``);
    }
  }

  supports(op: string): boolean {
    const entry = this.table.get(op);
    return entry !== undefined && this.native.supports(this.id, entry.id);
  }

  opNames(): string[] {
    return [...this.table.keys()];
  }

  run(op: string, args: OpArgs): void {
    const entry = this.table.get(op);
    if (!entry) throw new Error(`no op named ${op}`);
    writeArgs(this.native, op, entry, args);
    try {
      if (this.profiling) this.timed(op, args, () => this.native.run(this.id, entry.id));
      else this.native.run(this.id, entry.id);
    } catch (cause) {
      throw explain(cause, op, this);
    }
  }

  profile(): () => OpProfile[] {
    const ops = new Map<string, OpProfile>();
    this.profiling = ops;
    return () => {
      this.profiling = undefined;
      return [...ops.values()].sort((a, b) => b.ms - a.ms);
    };
  }

  get profiled(): boolean {
    return this.profiling !== undefined;
  }

  private timed(op: string, args: OpArgs, body: () => void): void {
    const ms = this.milliseconds(() => this.range(op, body));
    const entry = this.profiling!.get(op) ?? { op, calls: 0, ms: 0, flops: 0, bytes: 0 };
    const { flops, bytes } = costOf(op, args);
    this.profiling!.set(op, {
      op,
      calls: entry.calls + 1,
      ms: entry.ms + ms,
      flops: entry.flops + flops,
      bytes: entry.bytes + bytes,
    });
  }

  range<R>(name: string, body: () => R): R {
    this.native.range(this.id, name);
    try {
      return body();
    } finally {
      this.native.range(this.id, "");
    }
  }

  get matmulPlans(): string {
    return this.native.plans(this.id, 0);
  }

  usePlans(text: string): void {
    this.native.plans(this.id, 1, text);
  }

  tune(): void {
    this.native.plans(this.id, 2);
  }

  milliseconds(body: () => void): number {
    if (this.name !== "cuda") {
      const from = performance.now();
      body();
      return performance.now() - from;
    }
    this.mark(62);
    body();
    this.mark(63);
    return this.elapsedMs(62, 63);
  }

  empty(shape: readonly number[], dtype: Dtype): Tensor {
    const numel = shape.reduce((a, b) => a * b, 1);
    let handle: number;
    try {
      handle = this.native.alloc(this.id, numel, dtypeCode[dtype]);
    } catch (cause) {
      throw explain(cause, `a tensor [${shape.join(", ")}] ${dtype}`, this);
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
    this.writeRaw(t, toHost(values, t.dtype), offset);
  }

  fetch(t: Tensor, slot: number): () => Exclude<DataArray, BigInt64Array> {
    const { dtype, numel } = t;
    const numbers = (host: DataArray) =>
      dtype === "bf16" || host instanceof BigInt64Array ? toNumbers(host, dtype) : host;
    if (numel * dtypeBytes[dtype] > FETCH_BYTES) {
      const values = numbers(this.readRaw(t));
      return () => values;
    }
    this.guarded("fetch", () => this.native.fetch(this.id, slot, t.handle));
    return () => {
      const host = hostArray(dtype, numel);
      this.guarded("fetch", () => this.native.fetched(this.id, slot, host));
      return numbers(host);
    };
  }

  read(t: Tensor): Float64Array {
    return toNumbers(this.readRaw(t), t.dtype);
  }

  readRaw(t: Tensor): DataArray {
    const host = hostArray(t.dtype, t.numel);
    this.guarded("read", () => this.native.transfer(this.id, t.handle, host, 0, 0));
    return host;
  }

  readInto(t: Tensor, into: DataArray, offset = 0): void {
    this.guarded("read", () => this.native.transfer(this.id, t.handle, into, offset, 0));
  }

  writeRaw(t: Tensor, data: DataArray, offset = 0): void {
    this.guarded("write", () => this.native.transfer(this.id, t.handle, data, offset, 1));
  }

  isLive(t: Tensor): boolean {
    return !this.closed && this.native.isLive(this.id, t.handle);
  }

  free(t: Tensor): void {
    this.native.free(this.id, t.handle);
    this.purposes.delete(t.handle);
  }

  label<T extends Tensor>(t: T, purpose: string): T {
    this.purposes.set(t.handle, purpose);
    return t;
  }

  tenants(): Tenant[] {
    const found = new Map<string, Tenant>();
    const flat = this.native.tenants(this.id);
    for (let i = 0; i < flat.length; i += 3) {
      const [handle, bytes, op] = [flat[i]!, flat[i + 1]!, flat[i + 2]!];
      const taken = op < 0 ? "unused tensors" : `tensors of ${this.native.ops[op]!.name}`;
      const purpose = this.purposes.get(handle) ?? taken;
      const tenant = found.get(purpose) ?? { purpose, bytes: 0, tensors: 0 };
      found.set(purpose, { purpose, bytes: tenant.bytes + bytes, tensors: tenant.tensors + 1 });
    }
    return [...found.values()].sort((a, b) => b.bytes - a.bytes);
  }

  private guarded(what: string, body: () => void): void {
    try {
      body();
    } catch (cause) {
      throw explain(cause, what, this);
    }
  }

  scope(): Scope {
    const scope = new Scope((ended) => this.endScope(ended), this.scopes.at(-1));
    this.scopes.push(scope);
    return scope;
  }

  /** Scopes end innermost first. */
  private endScope(scope: Scope): void {
    if (this.scopes.pop() !== scope) throw new Error("scopes must end in reverse order of their start");
  }

  private own(t: Tensor): Tensor {
    this.scopes.at(-1)?.own(t);
    return t;
  }

  sync(): void {
    this.guarded("a wait", () => this.native.sync(this.id));
  }

  stats(resetPeak = false): RawStats {
    return this.native.stats(this.id, resetPeak ? 1 : 0);
  }

  get canCapture(): boolean {
    return this.native.capture(this.id, 4) === 1;
  }

  arena(): Arena {
    const { native, id } = this;
    const arena = native.arena(id, 0);
    return new Arena({
      enter: () => void native.arena(id, 1, arena),
      leave: () => void native.arena(id, 2),
      free: () => void native.arena(id, 3, arena),
    });
  }

  capture(body: () => void): CapturedStep {
    this.guarded("capture", () => void this.native.capture(this.id, 0));
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
    let graph = -1;
    this.guarded("capture", () => {
      graph = this.native.capture(this.id, 1);
    });
    return {
      launch: () => this.guarded("a captured step", () => void this.native.capture(this.id, 2, graph)),
      destroy: () => void this.native.capture(this.id, 3, graph),
    };
  }

  mark(slot: number): void {
    this.native.timer(this.id, slot);
  }

  elapsedMs(from: number, to: number): number {
    return this.native.timer(this.id, from, to);
  }

  close(): void {
    if (!this.closed) this.native.close(this.id);
    this.closed = true;
  }
}

/** The type is the interface; the value opens one. */
export type Device = DeviceApi;
export const Device = { open: NativeDevice.open };
