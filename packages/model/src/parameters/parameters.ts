// The weights of a model in flat buffers: fp32 masters, gradients, and a bf16 copy where the model computes in bf16.
//
// Trained groups lie first, so gradients (and the optimizer's state) are shorter buffers with the same offsets. Matrices of a frozen
// group without masters are in the bf16 buffer alone.
import { NsaError } from "@nsa/core";
import type { Collectives, Device, FloatDtype, Tensor } from "@nsa/kernels";
import type { ModelConfig } from "../config/schema.ts";
import { BUCKET_BYTES, type GradientBucket, gradientBuckets } from "./buckets.ts";
import type { ParameterGroup } from "./groups.ts";
import { type Layout, layoutOf } from "./layout.ts";
import { Sharing } from "./sharing.ts";
import type { PartSpec, WeightSpec } from "./weight-spec.ts";

/** 32-bit FNV-1a: the random stream of a parameter, by its name alone. */
export function streamOf(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return h;
}

/** A named tensor of a checkpoint and the buffer that holds it. */
export interface NamedTensor {
  name: string;
  shape: number[];
  buffer: Tensor;
  /** Elements from the start of the buffer. */
  offset: number;
  /** Where the file has it as rows `from` on of a tensor with `rows` rows, under `name`. */
  part?: { from: number; rows: number };
  /**
   * Where another rank holds the value that a checkpoint has: hands over elements from `from` on of the tensor. `buffer` is then what this
   * rank computes with, or, of moments, stands for the buffer of that rank.
   */
  fetch?: (from: number, numel: number, use: (piece: Tensor) => void) => void;
}

const fetcher =
  (sharing: Sharing, buffer: Tensor, { key }: WeightSpec, start: number): NonNullable<NamedTensor["fetch"]> =>
  (from, numel, use) =>
    sharing.fetch(buffer, key, start + from, numel, use);

export class Parameters {
  readonly layout: Layout;
  /** All fp32 masters; in bf16, those that this rank holds where ranks share them out. */
  flat: Tensor;
  /** bf16 copies at the same offsets, then matrices without masters; undefined in fp32. */
  readonly low: Tensor | undefined;
  /** Sum of gradients since `zeroGradients`, of the trained weights; undefined until they are enabled. */
  gradients: Tensor | undefined;
  /** Whether the model computes without its adapters: as the weights that they were added to. */
  adaptersOff = false;
  /** How ranks share out masters and moments; undefined where each rank has all. */
  sharing: Sharing | undefined;
  private readonly values = new Map<string, Tensor>();
  private readonly byName = new Map<string, { weight: WeightSpec; part: PartSpec }>();
  private readonly views: Tensor[] = [];

  constructor(
    readonly device: Device,
    readonly config: ModelConfig,
    dtype: FloatDtype = config.dtype === "bf16" ? "bf16" : "f32",
    groups?: readonly ParameterGroup[],
  ) {
    this.layout = layoutOf(config, groups, dtype === "bf16");
    const zeros = (n: number, of: FloatDtype, purpose = "weights") =>
      device.label(
        this.persistent(() => device.zeros([n], of)),
        purpose,
      );
    const low = dtype === "bf16";
    this.flat = zeros(this.layout.numel, dtype === "f64" ? "f64" : "f32", low ? "masters" : "weights");
    this.low = low ? zeros(this.layout.lowNumel, "bf16") : undefined;
    for (const w of this.layout.weights) {
      const source = w.matrix && this.low ? this.low : this.flat;
      this.values.set(
        w.key,
        this.persistent(() => source.view(w.offset, w.shape)),
      );
      for (const part of w.parts) this.byName.set(part.name, { weight: w, part });
    }
  }

  /** The weight as the ops take it; its `grad` is a view of the flat gradients. */
  weight(key: string): Tensor {
    const t = this.values.get(key);
    if (!t) throw new Error(`no weight ${key}`);
    return t;
  }

  find(key: string): Tensor | undefined {
    return this.values.get(key);
  }

  /** Names of checkpoint tensors in the order of the layout, with shapes. */
  get names(): { name: string; shape: number[] }[] {
    return [...this.byName].map(([name, { part }]) => ({ name, shape: part.shape }));
  }

  /** All checkpoint tensors where they are held: masters, or bf16 where there is no master. */
  get tensors(): NamedTensor[] {
    return this.names.map(({ name }) => this.stored(name));
  }

  /** The trained tensors in a buffer laid out as the gradients. */
  tensorsIn(buffer: Tensor): NamedTensor[] {
    const trained = this.layout.groups.filter((g) => g.trainable).flatMap((g) => g.weights);
    const { sharing } = this;
    return trained.flatMap((w) => {
      const start = sharing ? sharing.heldAt(w.key) : w.offset;
      return w.parts.map(({ name, shape, offset }) =>
        start === undefined
          ? { name, shape, buffer, offset: 0, fetch: fetcher(sharing!, buffer, w, offset) }
          : { name, shape, buffer, offset: start + offset },
      );
    });
  }

  /**
   * From here on this rank holds masters (of a bf16 model) and moments of its share of the trained matrices, before gradients are enabled. All
   * ranks must call it.
   */
  shareOut(collectives: Collectives): Sharing {
    const { layout, device } = this;
    this.sharing = new Sharing(layout, collectives);
    if (!this.low) return this.sharing;
    using scope = device.scope();
    const whole = this.flat;
    const zeros = device.zeros([Math.max(1, this.sharing.heldNumel)], whole.dtype);
    this.flat = scope.detach(device.label(zeros, "masters"));
    for (const w of layout.weights) {
      const held = this.sharing.heldAt(w.key);
      if (held === undefined) continue;
      const own = this.flat.view(held, w.shape);
      device.run("copy", { x: whole.view(w.offset, w.shape), y: own });
      if (!w.matrix)
        this.values.set(
          w.key,
          this.persistent(() => this.flat.view(held, w.shape)),
        );
    }
    const stale = this.views.filter((t) => t !== whole && t.isLive && !this.isUsed(t));
    for (const t of [...stale, whole]) t.free();
    this.views.splice(0, this.views.length, this.flat, ...this.views.filter((t) => t.isLive));
    return this.sharing;
  }

  /** Whether every weight has a master, so that a checkpoint holds what was trained and not what it was rounded to. */
  get hasMasters(): boolean {
    return !this.layout.weights.some((w) => w.lowOnly);
  }

  /** Buckets of gradients in the order in which a backward completes them. */
  buckets(bytes = BUCKET_BYTES): GradientBucket[] {
    return gradientBuckets(this.layout, bytes / (this.flat.dtype === "f64" ? 8 : 4));
  }

  /** Elements of a named tensor inside any buffer with the layout of `flat`. */
  range(name: string): { offset: number; shape: number[]; weight: WeightSpec } {
    const found = this.byName.get(name);
    if (!found) {
      throw new NsaError({
        code: "parameter_unknown",
        what: `no parameter named ${name}`,
        why: "the model's configuration has none",
        fix: "use a checkpoint of the same architecture",
        exitCode: 3,
      });
    }
    return { offset: found.weight.offset + found.part.offset, shape: found.part.shape, weight: found.weight };
  }

  /** Draws initial values, of all tensors or of some; each depends on the seed and the parameter's name alone. */
  init(seed: number, tensors: readonly NamedTensor[] = this.tensors): this {
    for (const { name, shape, buffer, offset } of tensors) {
      using _ = this.device.scope();
      const { init, lowOnly } = this.range(name).weight;
      const view = buffer.view(offset, shape);
      const x = lowOnly ? this.device.empty(shape, "f32") : view;
      if (init.kind === "constant") this.device.run("fill", { x, value: init.value });
      else {
        const { std } = init;
        this.device.run("philox_normal", { x, seed, stream: streamOf(name), step: 0, mean: 0, std });
      }
      if (lowOnly) this.device.run("copy", { x, y: view });
    }
    this.refreshLow();
    return this;
  }

  /** Rewrites the bf16 copies after the masters were changed by hand; `elements`: of the first so many alone. */
  refreshLow(elements = this.layout.masterNumel): void {
    const { low, flat, device } = this;
    if (!low || elements === 0) return;
    using _ = device.scope();
    if (this.sharing) {
      for (const w of this.layout.weights) {
        const held = this.sharing.heldAt(w.key);
        if (held === undefined || w.offset >= elements) continue;
        device.run("copy", { x: flat.view(held, w.shape), y: low.view(w.offset, w.shape) });
      }
      return;
    }
    const cut = (t: Tensor) => (t.numel === elements ? t : t.view(0, [elements]));
    device.run("copy", { x: cut(flat), y: cut(low) });
  }

  /** Takes over the other model's weights (reference ← policy): the same architecture, whatever the groups. */
  copyFrom(other: Parameters): void {
    const { device, layout } = this;
    const same = layout.weights.every((w, i) => {
      const theirs = other.layout.weights[i];
      if (this.sharing || other.sharing) return false;
      return theirs?.key === w.key && theirs.offset === w.offset && !w.lowOnly && !theirs.lowOnly;
    });
    if (same) device.run("copy", { x: other.flat, y: this.flat });
    else {
      for (const { name, shape, buffer, offset } of this.tensors) {
        using _ = device.scope();
        const from = other.stored(name);
        device.run("copy", { x: from.buffer.view(from.offset, shape), y: buffer.view(offset, shape) });
      }
    }
    this.refreshLow();
  }

  /** Allocates gradients of the trained groups and marks their weights as trainable; frozen groups have none. */
  enableGradients(): this {
    const { trainableNumel, groups } = this.layout;
    if (this.gradients || trainableNumel === 0) return this;
    const zeros = () => this.device.zeros([trainableNumel], this.flat.dtype);
    this.gradients = this.device.label(this.persistent(zeros), "gradients");
    for (const w of groups.flatMap((g) => (g.trainable ? g.weights : []))) {
      const t = this.weight(w.key);
      t.requiresGrad = true;
      t.grad = this.persistent(() => this.gradients!.view(w.offset, w.shape));
    }
    return this;
  }

  zeroGradients(): void {
    if (this.gradients) this.device.run("fill", { x: this.gradients, value: 0 });
  }

  /** Host copy of a named tensor: its master, or its bf16 values where it has none. */
  readMaster(name: string): Float64Array {
    const { buffer, offset, shape } = this.stored(name);
    const view = buffer.view(offset, shape);
    const values = view.read();
    view.free();
    return values;
  }

  free(): void {
    for (const t of this.views.reverse()) if (t.isLive) t.free();
  }

  private stored(name: string): NamedTensor {
    const { offset, shape, weight } = this.range(name);
    if (weight.lowOnly) return { name, shape, offset, buffer: this.low! };
    const { sharing, low, flat } = this;
    if (!sharing || !low) return { name, shape, offset, buffer: flat };
    const held = sharing.heldAt(weight.key);
    const inWeight = offset - weight.offset;
    if (held !== undefined) return { name, shape, offset: held + inWeight, buffer: flat };
    return { name, shape, offset, buffer: low, fetch: fetcher(sharing, flat, weight, inWeight) };
  }

  private isUsed(t: Tensor): boolean {
    return t === this.low || t === this.flat || [...this.values.values()].includes(t);
  }

  private persistent(make: () => Tensor): Tensor {
    using scope = this.device.scope();
    const t = scope.detach(make());
    this.views.push(t);
    return t;
  }
}
