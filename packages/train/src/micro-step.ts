// Forward, loss and backward of one micro-batch: run plainly, or captured once per shape and replayed.
//
// Where the device has captured steps and the loss is static, every run of a micro-batch, captured or not, works on inputs
// in fixed memory padded to a bucket, and on one arena: so a replay has the same bits as the plain run before it.
import type { Batch } from "@nsa/core";
import { type Arena, type CapturedStep, Tape, type Tensor, TensorMath } from "@nsa/kernels";
import type { BucketReady, GradientBucket, Transformer } from "@nsa/model";
import { BackwardProgress, headOn } from "@nsa/model";
import type { AnyLoss, LossInputs } from "./loss.ts";
import { bucketOf, FixedInputs, layoutMicro, type MicroInputs, uploadMicro } from "./micro-inputs.ts";
import { MAX_RESULTS, type StepPart } from "./step-results.ts";

export interface MicroStepConfig {
  recompute: boolean;
  logitsBudgetMb: number;
  /** Bytes from which on a bucket of gradients is closed. Default 25 MiB. */
  bucketBytes?: number | undefined;
}

export interface MicroStepOptions {
  weightSum: number;
  loss: AnyLoss;
  temperature: number | undefined;
  /**
   * Called for each bucket of gradients in the order of the backward: while it runs, or after the launch of a step on fixed memory.
   * What writes the bucket's gradients was then given to the device; what is given to it next reads them complete.
   */
  onReady?: BucketReady | undefined;
  /** Transfers of gradients that run beside the backward and may be recorded with it. */
  transfers?: GradientTransfers | undefined;
}

export interface GradientTransfers {
  /** Gives the transfer of a bucket to the device. */
  start: BucketReady;
  /** What the device is given next waits for them. */
  settle: () => void;
}

/** Values that a loss has for the host, by name. */
type Rows = Record<string, Tensor>;

/** A shape that was met: its fixed memory, and the captured step from its second run on. */
interface Kept {
  inputs: FixedInputs;
  results: Tensor;
  /** Where each result is found: views of `results`. */
  part: StepPart;
  runs: number;
  captured?: CapturedStep;
}

/** Shapes kept at once; the least recently used one goes first. */
const MOST_SHAPES = 24;

export class MicroSteps {
  private buckets: GradientBucket[] | undefined;
  private readonly kept = new Map<string, Kept>();
  private readonly losses = new Map<AnyLoss, number>();
  private arena: Arena | undefined;

  constructor(
    private readonly model: Transformer,
    private readonly config: MicroStepConfig,
  ) {}

  /** Captured steps that exist. */
  get captured(): number {
    return [...this.kept.values()].filter((k) => k.captured).length;
  }

  /**
   * Adds the micro-batch's gradients to the parameters' and hands its results to `put` while they live. The loss's rows belong to the
   * scope that is innermost at the call.
   */
  run(batch: Batch, options: MicroStepOptions, put: (part: StepPart, rows: Rows) => void): void {
    const { model } = this;
    const progress = this.progress(options);
    if (options.loss.static && model.device.canCapture) {
      // A recorded backward runs without the host: one that calls back would do so once, when it is recorded.
      put(this.fixed(batch, options), {});
    } else {
      using scope = model.device.scope();
      const layout = layoutMicro(batch, options.weightSum, model.config);
      const { part, rows } = this.body(
        uploadMicro(model.device, layout, this.stats),
        batch,
        options,
        progress,
      );
      for (const row of Object.values(rows)) scope.keep(row);
      put(part, rows);
    }
    progress?.finish();
  }

  /** Buckets of gradients in the order of the backward. */
  gradientBuckets(): readonly GradientBucket[] {
    this.buckets ??= this.model.parameters.buckets(this.config.bucketBytes);
    return this.buckets;
  }

  private progress({ onReady }: MicroStepOptions): BackwardProgress | undefined {
    return onReady && new BackwardProgress(this.gradientBuckets(), onReady);
  }

  /** Runs the shape met last `times` times, without a pause of the host: for measuring. False where it is not captured. */
  replay(times: number): boolean {
    const last = [...this.kept.values()].at(-1)?.captured;
    for (let i = 0; i < times; i++) last?.launch();
    return last !== undefined;
  }

  free(): void {
    for (const key of [...this.kept.keys()]) this.forget(key);
    this.arena?.free();
    this.arena = undefined;
  }

  /** dtype of log-probabilities and losses. */
  get stats(): "f32" | "f64" {
    return this.model.parameters.flat.dtype === "f64" ? "f64" : "f32";
  }

  private fixed(batch: Batch, options: MicroStepOptions): StepPart {
    const { model, stats } = this;
    const { device } = model;
    const bucket = bucketOf(batch);
    const layout = layoutMicro(batch, options.weightSum, model.config, bucket);
    const loss = this.losses.get(options.loss) ?? this.losses.size;
    this.losses.set(options.loss, loss);
    const columns = Object.keys(layout.columns);
    const sums = options.transfers !== undefined;
    const key = JSON.stringify([loss, options.temperature ?? 1, bucket, columns, sums]);
    const kept = this.kept.get(key) ?? this.make(new FixedInputs(device, layout, stats));
    // Young keys are last in the map.
    this.kept.delete(key);
    this.kept.set(key, kept);
    if (this.kept.size > MOST_SHAPES) this.forget(this.kept.keys().next().value!);

    // Tables must not be made, or grown, inside a captured step.
    model.rope(bucket.longest);
    kept.inputs.write(layout);
    this.arena ??= device.arena();
    const body = () => this.intoResults(kept, batch, options);
    // A shape that comes once runs plainly; its second run is recorded. Ops are timed one by one, so not then.
    const plain = kept.runs++ === 0 || device.profiled;
    if (!plain) kept.captured ??= this.arena.use(() => device.capture(body));
    if (plain) this.arena.use(body);
    else kept.captured!.launch();
    return kept.part;
  }

  private make(inputs: FixedInputs): Kept {
    const { device } = this.model;
    using scope = device.scope();
    return { inputs, results: scope.detach(device.zeros([MAX_RESULTS], this.stats)), part: {}, runs: 0 };
  }

  /** The step on fixed inputs; what it found is copied to where it outlives the arena. */
  private intoResults(kept: Kept, batch: Batch, options: MicroStepOptions): void {
    const { device } = this.model;
    using scope = device.scope();
    const { part, rows } = this.body(kept.inputs.inputs, batch, options);
    if (Object.keys(rows).length > 0) throw new Error("a static loss has no rows");
    const names = Object.keys(part);
    if (names.length > MAX_RESULTS) throw new Error(`a static loss has at most ${MAX_RESULTS - 1} metrics`);
    names.forEach((name, i) => {
      const value = part[name]!;
      if (typeof value === "number") kept.part[name] = value;
      else {
        kept.part[name] ??= scope.detach(kept.results.view(i, [1]));
        device.run("copy", { x: value, y: kept.part[name] as Tensor });
      }
    });
  }

  private body(
    inputs: MicroInputs,
    batch: Batch,
    options: MicroStepOptions,
    progress?: BackwardProgress,
  ): { part: StepPart; rows: Rows } {
    const { model, config } = this;
    const { device } = model;
    const tape = new Tape();
    const aux: Tensor[] = [];
    const { transfers } = options;
    const sent = transfers && new BackwardProgress(this.gradientBuckets(), transfers.start);
    const leave = (segment: number) => {
      sent?.leave(segment);
      progress?.leave(segment);
    };
    const hidden = model.forward(tape, inputs.batch, {
      recompute: config.recompute,
      aux,
      ...(sent || progress ? { leave } : {}),
    });
    const math = new TensorMath(tape);
    const { weight, inverseWeightSum } = inputs;
    const slope = options.loss.slope?.({ math, weight, inverseWeightSum });
    const head = headOn(model, tape, hidden, inputs.head, {
      temperature: options.temperature,
      logitsBudgetBytes: config.logitsBudgetMb * 2 ** 20,
      slope,
    });
    const context = {
      ...head,
      tape,
      math,
      hidden,
      aux,
      weight,
      column: (name) => {
        const column = inputs.columns[name];
        if (!column) throw new Error(`the batch has no column ${name}`);
        return column;
      },
      device: inputs.batch,
      weightSum: options.weightSum,
      inverseWeightSum,
    } satisfies LossInputs;
    const result = options.loss(batch, context as never);
    const seeds: [Tensor, Tensor][] = slope ? [] : [[result.loss, device.full([1], this.stats, 1)]];
    const extra = auxiliaryLoss(math, aux, weight, inverseWeightSum);
    if (extra) seeds.push([extra, device.full([1], this.stats, 1)]);
    // Copied here, since the backward frees what it has used.
    const rows = Object.fromEntries(
      Object.entries(result.rows ?? {}).map(([name, x]) => {
        const y = device.empty([x.numel], x.dtype);
        device.run("copy", { x, y });
        return [name, y];
      }),
    );
    tape.backward(seeds);
    sent?.finish();
    transfers?.settle();
    const part = { ...result.metrics, ...(extra && { "train/aux_loss": extra }), loss: result.loss };
    return { part, rows };
  }

  private forget(key: string): void {
    const kept = this.kept.get(key)!;
    kept.captured?.destroy();
    kept.inputs.free();
    for (const value of Object.values(kept.part)) if (typeof value !== "number") value.free();
    kept.results.free();
    this.kept.delete(key);
  }
}

/** Σ of the layers' losses, weighted by the micro-batch's share of the step; undefined where there is none. */
function auxiliaryLoss(
  math: TensorMath,
  aux: readonly Tensor[],
  weight: Tensor,
  inverseWeightSum: Tensor,
): Tensor | undefined {
  if (aux.length === 0) return undefined;
  const sum = aux.reduce((a, b) => math.add(a, b));
  return math.mul(sum, math.mul(math.sum(weight), inverseWeightSum));
}
