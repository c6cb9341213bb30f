// Requests under way over one cache: a queue, the outputs being decoded, and the step that was launched ahead.
import { KvCache } from "./cache.ts";
import { Decoder } from "./decoder.ts";
import { PagePool } from "./pages.ts";
import { type Admission, prefill } from "./prefill.ts";
import type { GeneratedSample, GenerateRequest } from "./request.ts";
import type { Drawn } from "./sampler.ts";
import {
  appendDrawn,
  checkRequest,
  type EngineContext,
  hasEnded,
  pagesOfOutput,
  type Sequence,
} from "./sequence.ts";

/** Requests under way; every call is short, so that a server can do other things between two steps. */
export interface LiveGeneration {
  /** Queues a request and returns its number. Throws as `generate`, and `cache_too_small` (exit 2). */
  add(request: GenerateRequest): number;
  /** Admits what fits, decodes one token of every running output, and returns outputs that ended before. */
  step(): { request: number; sample: number; output: GeneratedSample }[];
  /** Drops a request; its pages are free at once. Does nothing when it has ended. */
  cancel(request: number): void;
  close(): void;
  readonly idle: boolean;
  /** Outputs being decoded, and outputs that wait for room. */
  readonly running: number;
  readonly waiting: number;
}

/** A step that has been launched and not collected. */
interface InFlightStep {
  rows: readonly Sequence[];
  collect: () => Drawn;
}

/** One cache of `pages` pages; no output holds more than `largest`, and no more than `sequences` are decoded at once. */
export class LiveRequests implements LiveGeneration {
  readonly cache: KvCache;
  private readonly decoder: Decoder;
  readonly pool: PagePool;
  private readonly requests = new Map<number, GenerateRequest>();
  private readonly queue: Admission[] = [];
  private active: Sequence[] = [];
  /** Pages that the active outputs may come to hold. */
  private reserved = 0;
  private added = 0;
  /** The rows are not those of the last step. */
  private changed = false;
  private inFlight: InFlightStep | undefined;

  constructor(
    private readonly engine: EngineContext,
    private readonly pages: number,
    largest: number,
    private readonly sequences: number,
  ) {
    this.cache = new KvCache(engine.model, pages, engine.pageSize);
    this.decoder = new Decoder(engine.model, this.cache, largest, sequences);
    this.pool = new PagePool(pages);
  }

  get idle(): boolean {
    return this.queue.length === 0 && this.active.length === 0;
  }

  get running(): number {
    return this.active.length;
  }

  get waiting(): number {
    return this.queue.reduce((n, a) => n + a.n, 0);
  }

  add(request: GenerateRequest): number {
    checkRequest(this.engine, request, this.pages);
    const key = this.added++;
    this.requests.set(key, request);
    const { n } = request;
    // Requests larger than the cache are split into single outputs.
    if (n * this.cost(request) <= this.pages && n <= this.sequences)
      this.queue.push({ key, request, first: 0, n });
    else for (let first = 0; first < n; first++) this.queue.push({ key, request, first, n: 1 });
    return key;
  }

  step(): { request: number; sample: number; output: GeneratedSample }[] {
    if (!this.inFlight) this.admit();
    const done = this.takeEnded();
    if (!this.inFlight && this.active.length > 0) {
      this.inFlight = { rows: this.active, collect: this.launch(this.active, this.changed) };
      this.changed = false;
    }
    if (this.inFlight) {
      const { rows, collect } = this.inFlight;
      this.inFlight = undefined;
      // Its tokens lie where the next step reads them, so that one runs while these are looked at.
      const next = this.queue[0];
      const waits = next !== undefined && this.fits(next, this.active.length + next.n);
      if (!waits && this.decoder.overlaps && this.allContinue(rows))
        this.inFlight = { rows, collect: this.launch(rows, false) };
      appendDrawn(this.engine, rows, collect());
    }
    return done.map(({ key, sample, out }) => ({ request: key, sample, output: out }));
  }

  cancel(key: number): void {
    for (let i = this.queue.length - 1; i >= 0; i--) if (this.queue[i]!.key === key) this.queue.splice(i, 1);
    for (const s of this.active) if (s.key === key) this.release(s);
    this.active = this.active.filter((s) => s.key !== key);
    this.requests.delete(key);
  }

  close(): void {
    this.inFlight?.collect();
    this.decoder.free();
    this.cache.free();
  }

  private cost(request: GenerateRequest): number {
    return pagesOfOutput(this.engine, request);
  }

  private fits({ n, request }: Admission, sequences: number): boolean {
    return this.reserved + n * this.cost(request) <= this.pages && sequences <= this.sequences;
  }

  /** Prefills what fits, in the queue's order. */
  private admit(): void {
    const admitted: Admission[] = [];
    let tokens = 0;
    let sequences = this.active.length;
    while (this.queue.length > 0) {
      const next = this.queue[0]!;
      const { request, n } = next;
      sequences += n;
      if (!this.fits(next, sequences)) break;
      const { prefillTokens } = this.engine.options;
      if (admitted.length > 0 && tokens + request.prompt.length > prefillTokens) break;
      admitted.push(this.queue.shift()!);
      this.reserved += n * this.cost(request);
      tokens += request.prompt.length;
    }
    if (admitted.length === 0) return;
    const started = prefill(this.engine, admitted, this);
    // `onToken` may have cancelled some.
    for (const s of started) if (!this.requests.has(s.key)) this.release(s);
    this.active = [...this.active, ...started.filter((s) => !s.gone)];
    this.changed = true;
  }

  /** Removes and returns the outputs that have ended. */
  private takeEnded(): Sequence[] {
    const cancelled = this.engine.options.cancelled?.() ?? false;
    const done = this.active.filter((s) => hasEnded(this.engine, s) || cancelled);
    if (done.length === 0) return done;
    for (const s of done) this.release(s);
    this.active = this.active.filter((s) => !s.gone);
    for (const { key } of done) {
      const waits = this.queue.some((a) => a.key === key);
      if (!waits && !this.active.some((s) => s.key === key)) this.requests.delete(key);
    }
    return done;
  }

  /** Gives back the pages of an output that has ended. */
  private release(s: Sequence): void {
    s.gone = true;
    for (const page of s.pages) this.pool.release(page);
    this.reserved -= this.cost(s.request);
    this.changed = true;
  }

  /** Whether every row is sure to need another token after the one under way; rows that have ended may be a quarter. */
  private allContinue(rows: readonly Sequence[]): boolean {
    const { maxSeqLen } = this.engine.model.config;
    let alive = 0;
    for (const { gone, out, request: r } of rows) {
      if (gone) continue;
      const next = out.ids.length + 1;
      if (r.topLogprobs || r.keptIds || next >= r.maxTokens || r.prompt.length + next >= maxSeqLen)
        return false;
      alive++;
    }
    return alive > 0 && alive >= 0.75 * rows.length;
  }

  /** Begins one token for every row that has not ended. */
  private launch(rows: readonly Sequence[], changed: boolean): () => Drawn {
    const { stats } = this.engine;
    for (const s of rows) if (!s.gone) s.length++;
    const collect = this.decoder.launch(rows, changed);
    for (const s of rows) {
      if (s.gone) continue;
      s.drawn++;
      stats.decodeTokens++;
    }
    stats.steps++;
    return collect;
  }
}
