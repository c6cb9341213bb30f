// What a micro-batch puts on the device: tokens and documents, targets, weights. Fixed memory for steps that are captured.
//
// Legend: T tokens, n documents, R rows that have a target.
import type { Batch } from "@nsa/core";
import { type Device, type DocumentLayout, documentsOf, layoutDocuments, type Tensor } from "@nsa/kernels";
import { gridOf } from "../attention/registry.ts";
import type { ModelConfig } from "../config/schema.ts";
import type { DeviceBatch } from "../transformer/transformer.ts";
import type { HeadRows } from "./head.ts";
import { headLayout, placeHead } from "./head.ts";

export interface MicroInputs {
  batch: DeviceBatch;
  head: HeadRows;
  /** lossWeight, [T]. */
  weight: Tensor;
  /** 1 / the step's sum of weights, [1]. */
  inverseWeightSum: Tensor;
  /** The batch's columns, [T] each. */
  columns: Record<string, Tensor>;
}

/** Sizes that batches of nearly equal shape share, so that one captured step serves them all. */
export interface MicroBucket {
  tokens: number;
  /** Rows of the head; undefined: all tokens have a target. */
  rows: number | undefined;
  documents: number;
  longest: number;
}

export interface MicroLayout {
  tokens: Int32Array;
  docs: DocumentLayout;
  targets: Int32Array;
  rows: Int32Array | undefined;
  weight: Float32Array;
  inverseWeightSum: number;
  columns: Record<string, Float32Array>;
}

const powerAbove = (n: number) => 2 ** Math.ceil(Math.log2(Math.max(1, n)));
/** n rounded up to a multiple of at most n / parts (a power of two). */
const roundUp = (n: number, parts: number, least: number) => {
  const grain = Math.max(least, powerAbove(n + 1) / 2 / parts);
  return Math.ceil(n / grain) * grain;
};

/** The bucket of a batch: a function of the batch alone, so that resumed runs meet the same shapes. At most 1/32 is padding. */
export function bucketOf(batch: Pick<Batch, "tokens" | "targets" | "cuSeqlens">): MicroBucket {
  const T = batch.tokens.length;
  const tokens = roundUp(T, 32, 8);
  let targets = 0;
  for (let t = 0; t < T; t++) if (batch.targets[t]! >= 0) targets++;
  let longest = tokens - T;
  for (let i = 0; i + 1 < batch.cuSeqlens.length; i++)
    longest = Math.max(longest, batch.cuSeqlens[i + 1]! - batch.cuSeqlens[i]!);
  return {
    tokens,
    rows: targets === tokens ? undefined : Math.min(tokens, roundUp(targets, 8, 64)),
    // Room for the document of the padding and for an empty one.
    documents: Math.max(8, powerAbove(batch.cuSeqlens.length + 1)),
    longest: Math.min(tokens, powerAbove(longest)),
  };
}

function padded<A extends Int32Array | Float32Array>(values: A, length: number, filler: number): A {
  if (values.length === length) return values;
  const make = values.constructor as new (n: number) => A;
  const out = new make(length);
  out.set(values);
  out.fill(filler, values.length);
  return out;
}

/** Host arrays of a batch; with `bucket`, of its sizes: positions beyond the batch have no token, no target, no weight. */
export function layoutMicro(
  batch: Batch,
  weightSum: number,
  config: ModelConfig,
  bucket?: MicroBucket,
): MicroLayout {
  const T = bucket?.tokens ?? batch.tokens.length;
  return {
    tokens: padded(batch.tokens, T, -1),
    docs: layoutDocuments(batch.cuSeqlens, gridOf(config), bucket),
    ...headLayout(padded(batch.targets, T, -1), bucket ? { rows: bucket.rows } : undefined),
    weight: padded(batch.lossWeight, T, 0),
    inverseWeightSum: 1 / Math.max(weightSum, 1e-30),
    columns: Object.fromEntries(
      Object.entries(batch.columns ?? {}).map(([name, values]) => [name, padded(values, T, 0)]),
    ),
  };
}

/** The tensors of a layout, made by the two functions in a fixed order. */
function place(
  layout: MicroLayout,
  i32: (values: Int32Array) => Tensor,
  float: (values: Float32Array) => Tensor,
): MicroInputs {
  return {
    batch: { tokens: i32(layout.tokens), docs: documentsOf(layout.docs, i32) },
    head: placeHead(layout, i32),
    weight: float(layout.weight),
    inverseWeightSum: float(Float32Array.of(layout.inverseWeightSum)),
    columns: Object.fromEntries(Object.entries(layout.columns).map(([name, c]) => [name, float(c)])),
  };
}

const lengthOf = (values: ArrayLike<number>) => Math.max(1, values.length);

/** Uploads a layout into tensors of the innermost scope. */
export function uploadMicro(device: Device, layout: MicroLayout, stats: "f32" | "f64"): MicroInputs {
  return place(
    layout,
    (values) => device.from(values, [lengthOf(values)], "i32"),
    (values) => device.from(values, [lengthOf(values)], stats),
  );
}

/** Elements between the starts of columns in fixed memory: 256 bytes, as the pool aligns. */
const ALIGN = 64;

/** Fixed device memory for batches of one bucket, filled by two transfers. */
export class FixedInputs {
  readonly inputs: MicroInputs;
  private readonly ints: Tensor;
  private readonly floats: Tensor;
  private readonly stagedInts: Int32Array;
  private readonly stagedFloats: Float32Array;

  constructor(
    private readonly device: Device,
    layout: MicroLayout,
    stats: "f32" | "f64",
  ) {
    const [ints, floats] = [0, 1].map(() => ({ at: [] as number[], total: 0 })) as [Columns, Columns];
    const measure = (c: Columns) => (values: ArrayLike<number>) => {
      c.at.push(c.total);
      c.total += Math.ceil(lengthOf(values) / ALIGN) * ALIGN;
      return undefined as never;
    };
    place(layout, measure(ints), measure(floats));
    using scope = device.scope();
    this.ints = scope.detach(device.label(device.empty([ints.total], "i32"), "inputs"));
    this.floats = scope.detach(device.label(device.empty([floats.total], stats), "inputs"));
    this.stagedInts = new Int32Array(ints.total);
    this.stagedFloats = new Float32Array(floats.total);
    const cut = (t: Tensor, c: Columns) => {
      let i = 0;
      return (values: ArrayLike<number>) => scope.detach(t.view(c.at[i++]!, [lengthOf(values)]));
    };
    this.inputs = place(layout, cut(this.ints, ints), cut(this.floats, floats));
  }

  /** Copies a batch of the same bucket in; the device sees it after what was asked for before. */
  write(layout: MicroLayout): void {
    let [i, f] = [0, 0];
    const next = (at: number, values: ArrayLike<number>) => at + Math.ceil(lengthOf(values) / ALIGN) * ALIGN;
    place(
      layout,
      (values) => {
        this.stagedInts.set(values, i);
        i = next(i, values);
        return undefined as never;
      },
      (values) => {
        this.stagedFloats.set(values, f);
        f = next(f, values);
        return undefined as never;
      },
    );
    this.device.write(this.ints, this.stagedInts, 0);
    this.device.write(this.floats, this.stagedFloats, 0);
  }

  free(): void {
    const { batch, head, weight, inverseWeightSum, columns } = this.inputs;
    const { docs } = batch;
    const grid = docs.compressed;
    const views = [
      batch.tokens,
      docs.cuSeqlens,
      docs.positions,
      grid?.cuBlocks,
      grid?.blockStart,
      grid?.positions,
      head.targets,
      head.rows,
      weight,
      inverseWeightSum,
      ...Object.values(columns),
    ];
    for (const t of views) t?.free();
    for (const t of [this.ints, this.floats]) t.free();
  }
}

interface Columns {
  at: number[];
  total: number;
}
