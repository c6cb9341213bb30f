// The weights of a model in flat buffers: fp32 masters, gradients, and a bf16 copy where the model computes in bf16.
import { NsaError } from "@nsa/core";
import type { Device, FloatDtype, Tensor } from "@nsa/kernels";
import type { ModelConfig } from "../config/schema.ts";
import { type Layout, layoutOf } from "./layout.ts";
import type { PartSpec, WeightSpec } from "./weight-spec.ts";

/** 32-bit FNV-1a: the random stream of a parameter, by its name alone. */
export function streamOf(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return h;
}

export class Parameters {
  readonly layout: Layout;
  /** All fp32 masters. */
  readonly flat: Tensor;
  /** bf16 copies at the same offsets; undefined in fp32. */
  readonly low: Tensor | undefined;
  /** Sum of gradients since `zeroGradients`; undefined while frozen. */
  gradients: Tensor | undefined;
  private readonly values = new Map<string, Tensor>();
  private readonly byName = new Map<string, { weight: WeightSpec; part: PartSpec }>();
  private readonly views: Tensor[] = [];

  constructor(
    readonly device: Device,
    readonly config: ModelConfig,
    dtype: FloatDtype = config.dtype === "bf16" ? "bf16" : "f32",
  ) {
    this.layout = layoutOf(config);
    const master: FloatDtype = dtype === "f64" ? "f64" : "f32";
    this.flat = device.label(
      this.persistent(() => device.zeros([this.layout.numel], master)),
      "weights",
    );
    this.low =
      dtype === "bf16"
        ? device.label(
            this.persistent(() => device.zeros([this.layout.numel], "bf16")),
            "weights",
          )
        : undefined;
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

  /** Draws all initial values; each depends on the seed and the parameter's name alone. */
  init(seed: number): this {
    for (const { name } of this.names) {
      const { offset, shape, weight } = this.range(name);
      const view = this.flat.view(offset, shape);
      if (weight.init.kind === "constant") {
        this.device.run("fill", { x: view, value: weight.init.value });
      } else {
        const { std } = weight.init;
        this.device.run("philox_normal", { x: view, seed, stream: streamOf(name), step: 0, mean: 0, std });
      }
      view.free();
    }
    this.refreshLow();
    return this;
  }

  /** Rewrites the bf16 copies after the masters were changed by hand. */
  refreshLow(): void {
    if (this.low) this.device.run("copy", { x: this.flat, y: this.low });
  }

  /** Takes over the other model's weights (reference ← policy); the layouts must be equal. */
  copyFrom(other: Parameters): void {
    this.device.run("copy", { x: other.flat, y: this.flat });
    this.refreshLow();
  }

  /** Allocates gradients and marks the weights as trainable. */
  enableGradients(): this {
    if (this.gradients) return this;
    const zeros = () => this.device.zeros([this.layout.numel], this.flat.dtype);
    this.gradients = this.device.label(this.persistent(zeros), "gradients");
    for (const w of this.layout.weights) {
      const t = this.weight(w.key);
      t.requiresGrad = true;
      t.grad = this.persistent(() => this.gradients!.view(w.offset, w.shape));
    }
    return this;
  }

  zeroGradients(): void {
    if (this.gradients) this.device.run("fill", { x: this.gradients, value: 0 });
  }

  /** Host copy of a named master. */
  readMaster(name: string): Float64Array {
    const { offset, shape } = this.range(name);
    const view = this.flat.view(offset, shape);
    const values = view.read();
    view.free();
    return values;
  }

  free(): void {
    for (const t of this.views.reverse()) if (t.isLive) t.free();
  }

  private persistent(make: () => Tensor): Tensor {
    using scope = this.device.scope();
    const t = scope.detach(make());
    this.views.push(t);
    return t;
  }
}
