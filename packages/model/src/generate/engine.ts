// Continuous batching over a paged KV cache: prompts are prefilled together, outputs decode together and leave when done.
//
// An output depends on (seed, request, position) only: rows do not see one another, and noise is keyed by request.
import { NsaError } from "@nsa/core";
import { Tape } from "@nsa/kernels";
import { gridOf, pageSizeOf } from "../attention/registry.ts";
import type { Transformer } from "../transformer/transformer.ts";
import { KvCache } from "./cache.ts";
import { type DecodeRow, Decoder } from "./decoder.ts";
import { PagePool } from "./pages.ts";
import type { GeneratedSample, GenerateRequest } from "./request.ts";
import { type Drawn, Sampler } from "./sampler.ts";

export interface EngineOptions {
  /** Sequences decoded at once. */
  maxSequences: number;
  /** Tokens the cache holds; requests wait until theirs fit. */
  cacheTokens: number;
  /** Prompt tokens prefilled at once. */
  prefillTokens: number;
  /** Text of ids, needed for stop strings and streaming. */
  decode?: (ids: readonly number[]) => string;
  /** Called with every new token: request index, sample index, id, and the output that now holds it. */
  onToken?: (request: number, sample: number, id: number, output: GeneratedSample) => void;
  /** Stops early when it returns true; unfinished outputs end with `length`. */
  cancelled?: () => boolean;
}

/** Outputs `first` … `first + n − 1` of a request, which start together. */
interface Admission {
  request: number;
  first: number;
  n: number;
}

type Requests = ReadonlyMap<number, GenerateRequest>;

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

interface Sequence extends DecodeRow {
  /** Number of the request. */
  key: number;
  out: GeneratedSample;
}

/** A step under way. */
interface Flight {
  rows: readonly Sequence[];
  collect: () => Drawn;
}

export interface EngineStats {
  prefillTokens: number;
  decodeTokens: number;
  steps: number;
}

export class Engine {
  readonly stats: EngineStats = { prefillTokens: 0, decodeTokens: 0, steps: 0 };
  private readonly pageSize: number;

  constructor(
    readonly model: Transformer,
    readonly options: EngineOptions,
  ) {
    this.pageSize = pageSizeOf(model.config);
  }

  /** Outputs of every request, in order. Throws NsaError `prompt_too_long` and `prompt_empty` (exit 2). */
  generate(requests: readonly GenerateRequest[]): GeneratedSample[][] {
    for (const r of requests) this.check(r);
    const results: GeneratedSample[][] = requests.map((r) => new Array(r.n));
    const wanted = requests.reduce((a, r) => a + r.n * this.cost(r), 0);
    const largest = requests.reduce((a, r) => Math.max(a, this.cost(r)), 1);
    const live = this.open(Math.max(Math.min(wanted, this.budget), largest), largest);
    try {
      for (const r of requests) live.add(r);
      while (!live.idle) {
        for (const { request, sample, output } of live.step()) results[request]![sample] = output;
      }
    } finally {
      live.close();
    }
    return results;
  }

  /** A cache of its own into which requests come and from which they go while others run; `close` it when done. */
  open(
    pages = this.budget,
    largest = Math.min(pages, this.pagesFor(this.model.config.maxSeqLen)),
  ): LiveGeneration {
    const cache = new KvCache(this.model, pages, this.pageSize);
    const decoder = new Decoder(this.model, cache, largest);
    const pool = new PagePool(pages);
    const requests = new Map<number, GenerateRequest>();
    const queue: Admission[] = [];
    let active: Sequence[] = [];
    let reserved = 0;
    let added = 0;
    /** The rows are not those of the last step. */
    let changed = false;
    /** The step that has been launched and not collected. */
    let flight: Flight | undefined;
    const fits = (a: Admission, sequences: number) =>
      reserved + a.n * this.cost(requests.get(a.request)!) <= pages && sequences <= this.options.maxSequences;
    const leave = (s: Sequence) => {
      s.gone = true;
      for (const page of s.pages) pool.release(page);
      reserved -= this.cost(s.request);
      changed = true;
    };
    const forget = (request: number) => {
      const waits = queue.some((a) => a.request === request);
      if (!waits && !active.some((s) => s.key === request)) requests.delete(request);
    };
    const admit = () => {
      const admitted: Admission[] = [];
      let tokens = 0;
      let sequences = active.length;
      while (queue.length > 0) {
        const next = queue[0]!;
        const r = requests.get(next.request)!;
        sequences += next.n;
        if (!fits(next, sequences)) break;
        if (admitted.length > 0 && tokens + r.prompt.length > this.options.prefillTokens) break;
        admitted.push(queue.shift()!);
        reserved += next.n * this.cost(r);
        tokens += r.prompt.length;
      }
      if (admitted.length === 0) return;
      const started = this.prefill(requests, admitted, cache, pool);
      // `onToken` may have cancelled some.
      for (const s of started) if (!requests.has(s.key)) leave(s);
      active = [...active, ...started.filter((s) => !s.gone)];
      changed = true;
    };
    return {
      get idle() {
        return queue.length === 0 && active.length === 0;
      },
      get running() {
        return active.length;
      },
      get waiting() {
        return queue.reduce((n, a) => n + a.n, 0);
      },
      add: (r) => {
        this.check(r, pages);
        const request = added++;
        requests.set(request, r);
        // Requests larger than the cache are split into single outputs.
        if (r.n * this.cost(r) <= pages && r.n <= this.options.maxSequences)
          queue.push({ request, first: 0, n: r.n });
        else for (let first = 0; first < r.n; first++) queue.push({ request, first, n: 1 });
        return request;
      },
      step: () => {
        if (!flight) admit();
        const done: Sequence[] = [];
        const cancelled = this.options.cancelled?.() ?? false;
        for (const s of active) if (this.finished(s) || cancelled) done.push(s);
        for (const s of done) leave(s);
        if (done.length > 0) active = active.filter((s) => !s.gone);
        for (const s of done) forget(s.key);
        if (!flight && active.length > 0) {
          flight = { rows: active, collect: this.launch(active, decoder, changed) };
          changed = false;
        }
        if (flight) {
          const { rows, collect } = flight;
          flight = undefined;
          // Its tokens lie where the next step reads them, so that one runs while these are looked at.
          const waits = queue.length > 0 && fits(queue[0]!, active.length + queue[0]!.n);
          if (!waits && decoder.overlaps && this.goesOn(rows))
            flight = { rows, collect: this.launch(rows, decoder, false) };
          this.append(rows, collect());
        }
        return done.map(({ key, sample, out }) => ({ request: key, sample, output: out }));
      },
      cancel: (request) => {
        for (let i = queue.length - 1; i >= 0; i--) if (queue[i]!.request === request) queue.splice(i, 1);
        for (const s of active) if (s.key === request) leave(s);
        active = active.filter((s) => s.key !== request);
        requests.delete(request);
      },
      close: () => {
        flight?.collect();
        decoder.free();
        cache.free();
      },
    };
  }

  private get budget(): number {
    return Math.ceil(this.options.cacheTokens / this.pageSize);
  }

  /** Pages that one output of the request may come to hold. */
  private cost(r: GenerateRequest): number {
    return this.pagesFor(Math.min(r.prompt.length + r.maxTokens, this.model.config.maxSeqLen));
  }

  private check(r: GenerateRequest, pages = Number.POSITIVE_INFINITY): void {
    const refuse = (code: string, what: string, why: string, fix: string) => {
      throw new NsaError({ code, what, why, fix, exitCode: 2 });
    };
    if (r.prompt.length === 0)
      refuse("prompt_empty", "a prompt without tokens", "there is nothing to continue", "give a prompt");
    const { maxSeqLen } = this.model.config;
    if (r.prompt.length + 1 > maxSeqLen) {
      refuse(
        "prompt_too_long",
        `a prompt of ${r.prompt.length} tokens`,
        `the model's context is ${maxSeqLen}`,
        "shorten the prompt, or raise model.max_seq_len",
      );
    }
    if (this.cost(r) > pages) {
      refuse(
        "cache_too_small",
        `a request of ${r.prompt.length} + ${r.maxTokens} tokens`,
        `the cache holds ${pages * this.pageSize}`,
        "ask for fewer tokens, or raise the cache's size",
      );
    }
  }

  private pagesFor(tokens: number): number {
    return Math.ceil(tokens / this.pageSize);
  }

  private finished(s: Sequence): boolean {
    const { out, request: r } = s;
    const last = out.ids.at(-1);
    if (last !== undefined && r.stopIds.includes(last)) out.finish = "stop";
    else if (r.stopStrings?.length && this.options.decode) {
      // Only the tail can hold a new match; a token is at least one byte unless it is special.
      const longest = Math.max(...r.stopStrings.map((x) => Buffer.byteLength(x)));
      const tail = this.options.decode(out.ids.slice(-longest - 8));
      if (r.stopStrings.some((x) => tail.includes(x))) out.finish = "stop";
    }
    if (out.finish === "stop") return true;
    return out.ids.length >= r.maxTokens || r.prompt.length + out.ids.length >= this.model.config.maxSeqLen;
  }

  /** Runs the prompts once each, spreads them over their outputs, and draws every output's first token. */
  private prefill(
    requests: Requests,
    admitted: readonly Admission[],
    cache: KvCache,
    pool: PagePool,
  ): Sequence[] {
    const { model } = this;
    const { device } = model;
    const grid = gridOf(model.config);
    using _scope = device.scope();
    const tokens: number[] = [];
    const cuSeqlens = [0];
    const slots: number[] = [];
    const blockSlots: number[] = [];
    const prompts = admitted.map(({ request }) => {
      const { prompt } = requests.get(request)!;
      const pages = Array.from({ length: this.pagesFor(prompt.length) }, () => pool.take());
      for (let t = 0; t < prompt.length; t++) {
        tokens.push(prompt[t]!);
        slots.push(cache.tokenSlot(pages, t));
      }
      if (grid) {
        for (let p = 0; p + grid.blockSize <= prompt.length; p += grid.stride) {
          blockSlots.push(cache.blockSlot(pages, p / grid.stride, grid.stride));
        }
      }
      cuSeqlens.push(tokens.length);
      return pages;
    });
    const batch = model.upload({ tokens: Int32Array.from(tokens), cuSeqlens: Int32Array.from(cuSeqlens) });
    const prefillSlots = {
      tokens: device.from(slots, [slots.length], "i32"),
      blocks: blockSlots.length > 0 ? device.from(blockSlots, [blockSlots.length], "i32") : undefined,
    };
    const hidden = model.forward(new Tape(false), batch, {
      attend: (layer, inputs, tape) => cache.prefill(layer, inputs, batch.docs, prefillSlots, tape),
    });
    this.stats.prefillTokens += tokens.length;

    const sequences: Sequence[] = [];
    const rows: number[] = [];
    const [from, to]: [number[], number[]] = [[], []];
    admitted.forEach(({ request, first, n }, a) => {
      const pages = prompts[a]!;
      const r = requests.get(request)!;
      const { length } = r.prompt;
      for (let i = 0; i < n; i++) {
        // A page is shared when neither tokens nor compressed blocks will be written into it again.
        const overhang = grid ? grid.blockSize - grid.stride : 0;
        const own = pages.map((page, j) => {
          if (i === 0) return page;
          if ((j + 1) * this.pageSize + overhang <= length) {
            pool.share(page);
            return page;
          }
          const copy = pool.take();
          from.push(page);
          to.push(copy);
          return copy;
        });
        while (own.length < this.cost(r)) own.push(pool.take());
        rows.push(cuSeqlens[a + 1]! - 1);
        const out: GeneratedSample = { ids: [], logp: [], keptLogmass: [], finish: "length" };
        // Written out: objects made by a spread are forty times slower to step through.
        sequences.push({
          key: request,
          request: r,
          sample: first + i,
          drawn: 0,
          pages: own,
          length,
          last: -1,
          gone: false,
          out,
        });
      }
    });
    cache.copyPages(from, to);
    const idx = device.from(rows, [rows.length], "i32");
    const last = device.empty([rows.length, model.config.dModel], hidden.dtype);
    device.run("gather_rows", { x: hidden, idx, y: last, rows: rows.length, cols: model.config.dModel });
    const sampler = new Sampler(model, rows.length);
    sampler.assign(sequences);
    sampler.moveTo(sequences);
    sampler.draw(last);
    for (const s of sequences) s.drawn++;
    this.append(sequences, sampler.read(0)());
    return sequences;
  }

  /** Whether every row is sure to need another token after the one under way; rows that have ended may be a quarter. */
  private goesOn(rows: readonly Sequence[]): boolean {
    const { maxSeqLen } = this.model.config;
    let alive = 0;
    for (const { gone, out, request: r } of rows) {
      if (gone) continue;
      const next = out.ids.length + 1;
      if (r.topLogprobs || next >= r.maxTokens || r.prompt.length + next >= maxSeqLen) return false;
      alive++;
    }
    return alive > 0 && alive >= 0.75 * rows.length;
  }

  /** Begins one token for every row that has not ended. */
  private launch(rows: readonly Sequence[], decoder: Decoder, changed: boolean): () => Drawn {
    for (const s of rows) if (!s.gone) s.length++;
    const collect = decoder.launch(rows, changed);
    for (const s of rows) {
      if (s.gone) continue;
      s.drawn++;
      this.stats.decodeTokens++;
    }
    this.stats.steps++;
    return collect;
  }

  private append(sequences: readonly Sequence[], drawn: Drawn): void {
    const { ids, logp, keptLogmass, top } = drawn;
    for (let i = 0; i < sequences.length; i++) {
      const s = sequences[i]!;
      if (s.gone) continue;
      const { out } = s;
      s.last = ids[i]!;
      out.ids.push(s.last);
      out.logp.push(logp[i]!);
      out.keptLogmass.push(keptLogmass[i]!);
      const likeliest = top?.[i];
      if (likeliest) out.top = [...(out.top ?? []), likeliest];
      this.options.onToken?.(s.key, s.sample, s.last, out);
    }
  }
}
