// What a micro-batch puts on the device: tokens and documents, targets, weights. Fixed memory for steps that are captured.
//
// Legend: T tokens, n documents, R rows that have a target.
import type { Batch } from "@nsa/core";
import {
  type Device,
  type DocumentLayout,
  documentArrays,
  documentsOf,
  layoutDocuments,
  type Tensor,
} from "@nsa/kernels";
import type { DeviceBatch, ModelConfig } from "@nsa/model";
import { gridOf, type HeadRows, headLayout } from "@nsa/model";

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

/** One array that goes to the device: ids and borders as i32, weights and columns in the dtype of losses. */
interface InputArray {
  name: string;
  kind: "int" | "float";
  values: Int32Array | Float32Array;
}

const COLUMN = "column:";

/** All arrays of a layout, in a fixed order. */
function arraysOf(layout: MicroLayout): InputArray[] {
  const int = (name: string, values: Int32Array): InputArray => ({ name, kind: "int", values });
  const float = (name: string, values: Float32Array): InputArray => ({ name, kind: "float", values });
  return [
    int("tokens", layout.tokens),
    ...Object.entries(documentArrays(layout.docs)).map(([name, values]) => int(name, values)),
    int("targets", layout.targets),
    ...(layout.rows ? [int("rows", layout.rows)] : []),
    float("weight", layout.weight),
    float("inverse_weight_sum", Float32Array.of(layout.inverseWeightSum)),
    ...Object.entries(layout.columns).map(([name, values]) => float(COLUMN + name, values)),
  ];
}

/** The inputs of a layout whose arrays are on the device. */
function inputsOf(layout: MicroLayout, tensors: ReadonlyMap<string, Tensor>): MicroInputs {
  const tensor = (name: string) => tensors.get(name)!;
  return {
    batch: { tokens: tensor("tokens"), docs: documentsOf(layout.docs, tensor) },
    head: { targets: tensor("targets"), rows: tensors.get("rows"), tokens: layout.tokens.length },
    weight: tensor("weight"),
    inverseWeightSum: tensor("inverse_weight_sum"),
    columns: Object.fromEntries(Object.keys(layout.columns).map((name) => [name, tensor(COLUMN + name)])),
  };
}

const lengthOf = (values: ArrayLike<number>) => Math.max(1, values.length);

/** Uploads a layout into tensors of the innermost scope. */
export function uploadMicro(device: Device, layout: MicroLayout, stats: "f32" | "f64"): MicroInputs {
  const tensors = arraysOf(layout).map(({ name, kind, values }): [string, Tensor] => [
    name,
    device.from(values, [lengthOf(values)], kind === "int" ? "i32" : stats),
  ]);
  return inputsOf(layout, new Map(tensors));
}

/** Elements between the starts of arrays in fixed memory: 256 bytes, as the pool aligns. */
const ALIGN = 64;

/** Where an array lies in the memory of its kind. */
interface Place {
  kind: InputArray["kind"];
  at: number;
}

/** Fixed device memory for batches of one bucket, filled by two transfers, one a kind. */
export class FixedInputs {
  readonly inputs: MicroInputs;
  private readonly places = new Map<string, Place>();
  private readonly views: Tensor[] = [];
  private readonly memory: Record<InputArray["kind"], Tensor>;
  private readonly staged: { int: Int32Array; float: Float32Array };

  constructor(
    private readonly device: Device,
    layout: MicroLayout,
    stats: "f32" | "f64",
  ) {
    const total = { int: 0, float: 0 };
    const arrays = arraysOf(layout);
    for (const { name, kind, values } of arrays) {
      this.places.set(name, { kind, at: total[kind] });
      total[kind] += Math.ceil(lengthOf(values) / ALIGN) * ALIGN;
    }
    using scope = device.scope();
    const fixed = (n: number, dtype: "i32" | "f32" | "f64") =>
      scope.detach(device.label(device.empty([n], dtype), "inputs"));
    this.memory = { int: fixed(total.int, "i32"), float: fixed(total.float, stats) };
    this.staged = { int: new Int32Array(total.int), float: new Float32Array(total.float) };
    const tensors = arrays.map(({ name, kind, values }): [string, Tensor] => {
      const view = scope.detach(this.memory[kind].view(this.places.get(name)!.at, [lengthOf(values)]));
      this.views.push(view);
      return [name, view];
    });
    this.inputs = inputsOf(layout, new Map(tensors));
  }

  /** Copies a batch of the same bucket in; the device sees it after what was asked for before. */
  write(layout: MicroLayout): void {
    for (const { name, kind, values } of arraysOf(layout))
      this.staged[kind].set(values, this.places.get(name)!.at);
    this.device.write(this.memory.int, this.staged.int, 0);
    this.device.write(this.memory.float, this.staged.float, 0);
  }

  free(): void {
    for (const view of this.views) view.free();
    this.memory.int.free();
    this.memory.float.free();
  }
}
