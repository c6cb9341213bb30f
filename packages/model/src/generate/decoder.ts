// One decode step for a batch of sequences, as a captured graph where the device has them.
//
// Captured steps come in a few batch sizes; rows without a sequence have length 0 and touch no cache. All inputs of a step
// lie in fixed memory: the token drawn last stays on the device, lengths and cache rows are uploaded in two transfers.
import {
  type BlockGrid,
  type DecodePlan,
  type DecodeSequence,
  type Device,
  type Owned,
  planDecode,
  Tape,
  type Tensor,
  updatePlan,
} from "@nsa/kernels";
import { gridOf } from "../attention/registry.ts";
import type { Transformer } from "../transformer/transformer.ts";
import type { KvCache } from "./cache.ts";
import { type Drawn, logitsOf, type SampleRow, Sampler } from "./sampler.ts";

/** A sequence being decoded. */
export interface DecodeRow extends SampleRow {
  /** Tokens whose keys are in the cache, plus the one being decoded. */
  length: number;
  pages: readonly number[];
  /** The token being decoded. */
  last: number;
  /** It has ended: its row stays, idle, until the rows are arranged anew. */
  gone: boolean;
}

interface Step {
  plan: DecodePlan;
  sampler: Sampler;
  tensors: Owned[];
  runs: number;
  graph?: { launch(): void; destroy(): void };
}

const idle = { length: 0, pages: [] as number[] };

/** The batch size that `n` sequences run at: at most a quarter of the rows is idle above 8. */
export function decodeBucket(n: number): number {
  if (n <= 8) return 2 ** Math.ceil(Math.log2(n));
  const grain = Math.max(8, 2 ** Math.floor(Math.log2(n - 1)) / 4);
  return Math.ceil(n / grain) * grain;
}

export class Decoder {
  private readonly steps = new Map<number, Step>();
  private arranged: Step | undefined;
  /** What a step of any size writes: steps run one after another. */
  private logits: Tensor | undefined;
  private arena: ReturnType<Device["arena"]> | undefined;
  private turn: 0 | 1 = 0;

  /** `maxPages`: pages of the longest sequence to come; `maxRows`: sequences at once. */
  constructor(
    private readonly model: Transformer,
    private readonly cache: KvCache,
    private readonly maxPages: number,
    private readonly maxRows: number,
  ) {
    // Tables must not be made, or grown, inside a captured step.
    model.rope(model.config.maxSeqLen);
  }

  /** Whether a step may be launched while the one before is not collected: its tokens are on the device. */
  get overlaps(): boolean {
    return this.model.device.canCapture;
  }

  /**
   * Begins to decode the newest token of every row and to draw the next; the returned function waits for what was drawn.
   * `changed`: the rows or their pages are not those of the last step, which must have been collected then.
   */
  launch(rows: readonly DecodeRow[], changed: boolean): () => Drawn {
    this.turn = this.turn ? 0 : 1;
    return this.overlaps ? this.captured(rows, changed) : this.eager(rows);
  }

  private captured(rows: readonly DecodeRow[], changed: boolean): () => Drawn {
    const { device } = this.model;
    const b = decodeBucket(rows.length);
    const step = this.steps.get(b) ?? this.make(b);
    const sequences: DecodeSequence[] = new Array(b);
    for (let i = 0; i < b; i++) sequences[i] = rows[i] === undefined || rows[i]!.gone ? idle : rows[i]!;
    const moved = changed || step !== this.arranged;
    this.arranged = step;
    updatePlan(step.plan, sequences, moved, this.blocks);
    if (moved) {
      step.sampler.assign(rows);
      step.sampler.ids.write(Int32Array.from(sequences, (_, i) => rows[i]?.last ?? 0));
    }
    step.sampler.moveTo(rows);
    // A size that comes once runs plain; its second step is recorded. Ops are timed one by one, so not then.
    const plain = device.profiled || step.runs++ === 0;
    this.arena ??= device.arena();
    const run = () => this.run(step.plan, step.sampler);
    if (!plain) step.graph ??= this.arena.use(() => device.capture(run));
    if (plain) this.arena.use(run);
    else step.graph!.launch();
    return step.sampler.read(this.turn);
  }

  private eager(rows: readonly DecodeRow[]): () => Drawn {
    const { device } = this.model;
    using _scope = device.scope();
    const pages = rows.reduce((a, r) => Math.max(a, r.pages.length), 0);
    const plan = planDecode(device, rows, this.cache.pageSize, pages, this.blocks);
    const sampler = new Sampler(this.model, rows.length);
    sampler.assign(rows);
    sampler.moveTo(rows);
    sampler.ids.write(Int32Array.from(rows, (r) => r.last));
    this.run(plan, sampler);
    const drawn = sampler.read(this.turn)();
    return () => drawn;
  }

  /** Only device work on fixed memory. */
  private run(plan: DecodePlan, sampler: Sampler): void {
    const { model } = this;
    const { device } = model;
    using _scope = device.scope();
    const tape = new Tape(false);
    const tables = model.rope(model.config.maxSeqLen);
    let x = model.embed(tape, sampler.ids);
    for (const layer of model.layers) {
      using scope = device.scope();
      const o = layer.fused
        ? this.cache.decodeFused(layer, layer.projectFused(tape, x), tables, plan)
        : this.cache.decode(layer, layer.project(tape, x, tables, plan.positions), plan);
      const y = scope.keep(layer.finish(tape, x, o).y);
      x.free();
      x = y;
    }
    sampler.draw(model.finalNorm(tape, x));
  }

  private make(b: number): Step {
    const { device } = this.model;
    using scope = device.scope();
    this.logits ??= scope.detach(logitsOf(this.model, decodeBucket(this.maxRows)));
    const sequences = Array.from({ length: b }, () => idle);
    const plan = planDecode(device, sequences, this.cache.pageSize, this.maxPages, this.blocks, true);
    const sampler = new Sampler(this.model, b, this.logits);
    const step: Step = { plan, sampler, tensors: scope.detachAll(), runs: 0 };
    this.steps.set(b, step);
    return step;
  }

  free(): void {
    for (const step of this.steps.values()) {
      step.graph?.destroy();
      for (const t of step.tensors) if (t.isLive) t.free();
    }
    this.steps.clear();
    this.arena?.free();
    this.logits?.free();
    this.arena = this.logits = undefined;
  }

  /** Compressed blocks that a new token may complete. */
  private get blocks(): BlockGrid | undefined {
    const { config } = this.model;
    const grid = gridOf(config);
    return grid && { ...grid, kvHeads: config.numKvHeads };
  }
}
