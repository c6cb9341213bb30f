// Draws one token a row from the model's last hidden states.
//
// Legend: B rows, V vocabulary, D model width.
import type { Device, Tensor } from "@nsa/kernels";
import type { Transformer } from "../transformer/transformer.ts";
import { keptIds } from "./kept-ids.ts";
import type { GenerateRequest } from "./request.ts";
import { topLogprobs } from "./top-logprobs.ts";

/** What a row draws with. */
export interface SampleRow {
  request: GenerateRequest;
  /** Output number within the request. */
  sample: number;
  /** Tokens drawn so far. */
  drawn: number;
}

/** Log-probabilities and kept mass of one token a row, in rows' order. */
export interface Drawn {
  ids: ArrayLike<number>;
  logp: ArrayLike<number>;
  keptLogmass: ArrayLike<number>;
  /** Alternatives, where a request asks for them; undefined where none does. */
  top: ReturnType<typeof topLogprobs> | undefined;
  /** Ids that each row was drawn among, where its request asks for them. */
  kept: (number[] | undefined)[] | undefined;
}

const statsDtype = (model: Transformer) => (model.headWeight.dtype === "f64" ? "f64" : "f32");

/** Logits [rows, V] without values; they belong to the innermost scope. */
export const logitsOf = (model: Transformer, rows: number): Tensor =>
  model.device.empty([rows, model.config.vocabSize], statsDtype(model));

export class Sampler {
  /** i32 [B]: the tokens drawn last, where the next step reads them. */
  readonly ids: Tensor;
  private readonly params: Tensor;
  private readonly seeds: Tensor;
  private readonly requests: Tensor;
  private readonly positions: Tensor;
  /** [2, B]: log-probability, ln of the kept mass. */
  private readonly values: Tensor;
  private readonly logits: Tensor;
  private readonly device: Device;
  private rows: readonly SampleRow[] = [];

  /** Its tensors belong to the innermost scope; `logits`: rows of another owner to write the logits to, at least `b`. */
  constructor(
    private readonly model: Transformer,
    readonly b: number,
    logits?: Tensor,
  ) {
    const { device } = model;
    this.device = device;
    this.ids = device.empty([b], "i32");
    this.params = device.empty([b, 4], this.dtype);
    this.seeds = device.empty([b], "i64");
    this.requests = device.empty([b], "i32");
    this.positions = device.empty([b], "i32");
    this.values = device.empty([2, b], this.dtype);
    this.logits = logits?.view(0, [b, model.config.vocabSize]) ?? logitsOf(model, b);
  }

  /** Tells whose rows these are; rows beyond the given ones draw what nobody reads. */
  assign(rows: readonly SampleRow[]): void {
    this.rows = rows;
    const params = new Float32Array(this.b * 4);
    const seeds = new Float64Array(this.b);
    const requests = new Int32Array(this.b);
    rows.forEach(({ request, sample }, i) => {
      const { temperature, topP, minP, topK } = request.sampling;
      params.set([temperature, topP, minP, topK], i * 4);
      seeds[i] = request.seed;
      requests[i] = request.id + sample;
    });
    for (let i = rows.length; i < this.b; i++) params.set([0, 1, 0, 0], i * 4);
    this.params.write(params);
    this.seeds.write(seeds);
    this.requests.write(requests);
  }

  /** Sets how many tokens each row has drawn. */
  moveTo(rows: readonly SampleRow[]): void {
    const positions = new Int32Array(this.b);
    for (let i = 0; i < rows.length; i++) positions[i] = rows[i]!.drawn;
    this.positions.write(positions);
  }

  /** Samples from hidden [B, D]; only device work. */
  draw(hidden: Tensor): void {
    const { device, b, model, logits } = this;
    using _scope = device.scope();
    const [v, k] = [model.config.vocabSize, model.config.dModel];
    const layout = { m: b, n: v, k, lda: k, ldb: k, ldc: v, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
    device.run("gemm", { a: hidden, b: model.headWeight, c: logits, ...layout });
    device.run("sample", {
      logits,
      params: this.params,
      seeds: this.seeds,
      request: this.requests,
      position: this.positions,
      ids: this.ids,
      logp: this.values.view(0, [b]),
      kept_logmass: this.values.view(b, [b]),
      b,
      v,
    });
  }

  /**
   * Begins to read the tokens drawn last; the returned function waits for them. Two reads may be under way, of `turn` 0 and 1.
   * Alternatives are read only then: no draw may follow before where a request asks for them.
   */
  read(turn: 0 | 1): () => Drawn {
    const ids = this.device.fetch(this.ids, 2 * turn);
    const values = this.device.fetch(this.values, 2 * turn + 1);
    const { rows } = this;
    return () => {
      const both = values();
      const [logp, keptLogmass] = [both.subarray(0, this.b), both.subarray(this.b)];
      const top = rows.some((r) => r.request.topLogprobs)
        ? topLogprobs(
            this.logits,
            rows.map((r) => r.request),
          )
        : undefined;
      const drawn = ids();
      const kept = rows.some((r) => r.request.keptIds)
        ? keptIds(
            this.logits,
            rows.map((r) => r.request),
            drawn,
          )
        : undefined;
      return { ids: drawn, logp, keptLogmass, top, kept };
    };
  }

  private get dtype(): "f32" | "f64" {
    return statsDtype(this.model);
  }
}
