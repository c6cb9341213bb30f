// The decoder: embedding, layers, final norm. The output head is applied by `logprobs` on the rows that need it.
//
// Legend: T tokens, D model width.
import type { Batch } from "@nsa/core";
import {
  type Device,
  type Documents,
  embedding,
  type FloatDtype,
  packDocuments,
  type RopeTables,
  rmsNorm,
  ropeTables,
  Tape,
  type Tensor,
} from "@nsa/kernels";
import { gridOf } from "../attention/registry.ts";
import type { BaseRecord } from "../checkpoint/state.ts";
import type { ModelConfig } from "../config/schema.ts";
import { logitsWeightOf } from "../heads/registry.ts";
import type { ParameterGroup } from "../parameters/groups.ts";
import { Parameters } from "../parameters/parameters.ts";
import { type Attend, Layer } from "./layer.ts";

export interface ForwardOptions {
  /** Replaces the attention step (paged decode, ablations). */
  attend?: Attend;
  /** Keeps only the layers' inputs and runs each layer again in the backward. */
  recompute?: boolean;
  /** Receives the layers' auxiliary losses, each [1]. */
  aux?: Tensor[];
  /** Called in the backward when it has left a segment (as in `Layout.segments`): that one's gradients are complete. */
  leave?: ((segment: number) => void) | undefined;
}

/** Tokens and borders of a micro-batch on the device. */
export interface DeviceBatch {
  /** i32 [T]. */
  tokens: Tensor;
  docs: Documents;
}

/** For layers below the first trained one: they record nothing and hold nothing for a backward. */
const NO_TAPE = new Tape(false);

export class Transformer {
  readonly parameters: Parameters;
  readonly layers: Layer[];
  /** Of a model with adapters that was opened from a checkpoint: what its frozen weights are. */
  base: BaseRecord | undefined;
  private tables: RopeTables | undefined;
  private tableLength = 0;

  constructor(
    readonly device: Device,
    readonly config: ModelConfig,
    private readonly dtype: FloatDtype = config.dtype === "bf16" ? "bf16" : "f32",
    readonly groups?: readonly ParameterGroup[],
  ) {
    this.parameters = new Parameters(device, config, dtype, groups);
    this.layers = Array.from({ length: config.numLayers }, (_, i) => new Layer(this.parameters, config, i));
  }

  /** [V, D], the embedding itself when tied. Throws as {@link checkGenerates}. */
  get headWeight(): Tensor {
    return this.parameters.weight(this.checkGenerates());
  }

  /** Key of the weight that gives logits. Throws NsaError `head_without_logits` (exit 3) where the head has none. */
  checkGenerates(): string {
    return logitsWeightOf(this.config);
  }

  /** Rotary tables that cover positions below `length`; kept by the model. */
  rope(length: number): RopeTables {
    if (this.tables && length <= this.tableLength) return this.tables;
    this.tables?.cos.free();
    this.tables?.sin.free();
    this.tableLength = Math.max(length, this.config.maxSeqLen);
    using scope = this.device.scope();
    const tables = ropeTables(this.device, {
      rotDim: this.config.rotaryDim ?? this.config.headDim,
      positions: this.tableLength,
      theta: this.config.ropeTheta,
      scaling: this.config.ropeScaling,
      dtype: this.dtype === "f64" ? "f64" : "f32",
    });
    scope.detach(tables.cos);
    scope.detach(tables.sin);
    this.tables = tables;
    return tables;
  }

  /** Uploads what a forward needs; the tensors belong to the innermost scope. */
  upload(batch: Pick<Batch, "tokens" | "cuSeqlens">): DeviceBatch {
    const docs = packDocuments(this.device, batch.cuSeqlens, gridOf(this.config));
    return { tokens: this.device.from(batch.tokens, [batch.tokens.length], "i32"), docs };
  }

  /** Hidden states after the final norm, [T, D]. */
  forward(tape: Tape, batch: DeviceBatch, options: ForwardOptions = {}): Tensor {
    const { leave } = options;
    // The backward runs in reverse: what is recorded before a segment runs when all of the segment has run.
    const enter = (segment: number) => leave && tape.mark(() => leave(segment));
    enter(0);
    let x = this.embed(tape, batch.tokens);
    for (const layer of this.layers) {
      enter(layer.index + 1);
      if (!tape.enabled || !(x.requiresGrad || layer.trained)) {
        const y = this.layerForward(NO_TAPE, layer, x, batch, options);
        // Nothing was recorded that reads it.
        x.free();
        x = y;
      } else if (options.recompute) x = this.recomputed(tape, layer, x, batch, options);
      else x = this.layerForward(tape, layer, x, batch, options);
    }
    enter(this.layers.length + 1);
    return this.finalNorm(tape, x);
  }

  embed(tape: Tape, tokens: Tensor): Tensor {
    return embedding(tape, this.parameters.weight("embed"), tokens);
  }

  finalNorm(tape: Tape, x: Tensor): Tensor {
    return rmsNorm(tape, x, this.parameters.weight("norm"), this.config.normEps);
  }

  /** One layer, [T, D] → [T, D]; adds its auxiliary loss to `options.aux`. */
  layerForward(tape: Tape, layer: Layer, x: Tensor, batch: DeviceBatch, options: ForwardOptions): Tensor {
    // Without gradients nothing inside a layer outlives it.
    using scope = tape.enabled ? undefined : this.device.scope();
    const { y, aux } = layer.finish(tape, x, this.attention(tape, layer, x, batch, options));
    if (aux) options.aux?.push(scope ? scope.keep(aux) : aux);
    return scope ? scope.keep(y) : y;
  }

  private attention(tape: Tape, layer: Layer, x: Tensor, { docs }: DeviceBatch, options: ForwardOptions) {
    const tables = this.rope(docs.longest);
    const { fused } = layer;
    if (fused && !options.attend)
      return fused.attend(tape, this.config, layer.projectFused(tape, x), tables, docs);
    const inputs = layer.project(tape, x, tables, docs.positions);
    return options.attend ? options.attend(layer, inputs, tape) : layer.attend(tape, inputs, docs);
  }

  free(): void {
    this.parameters.free();
    this.tables?.cos.free();
    this.tables?.sin.free();
  }

  private recomputed(
    tape: Tape,
    layer: Layer,
    x: Tensor,
    batch: DeviceBatch,
    options: ForwardOptions,
  ): Tensor {
    const losses: Tensor[] = [];
    const y = this.layerForward(new Tape(false), layer, x, batch, { ...options, aux: losses });
    options.aux?.push(...losses);
    tape.push([y, ...losses], () => {
      const given = [y, ...losses].map((t) => t.grad);
      for (const t of [y, ...losses]) t.grad = undefined;
      using scope = this.device.scope();
      const inner = new Tape();
      const input = x.reshape(...x.shape);
      input.requiresGrad = x.requiresGrad;
      input.grad = undefined;
      const again: Tensor[] = [];
      const made = this.layerForward(inner, layer, input, batch, { ...options, aux: again });
      const seeds = [made, ...again].flatMap((t, i): [Tensor, Tensor][] => (given[i] ? [[t, given[i]]] : []));
      inner.backward(seeds);
      const dx = input.grad && scope.keep(input.grad);
      for (const g of given) if (g && g !== dx) g.free();
      if (dx) tape.accumulate(x, dx);
    });
    return y;
  }
}
