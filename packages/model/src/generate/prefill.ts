// Prefill: prompts run once each, their pages are spread over their outputs, and every output's first token is drawn.
import { Tape, type Tensor } from "@nsa/kernels";
import { gridOf } from "../attention/registry.ts";
import type { KvCache } from "./cache.ts";
import type { PagePool } from "./pages.ts";
import type { GenerateRequest } from "./request.ts";
import { Sampler } from "./sampler.ts";
import { appendDrawn, type EngineContext, pagesFor, pagesOfOutput, type Sequence } from "./sequence.ts";

/** Outputs `first` … `first + n − 1` of request number `key`, which start together. */
export interface Admission {
  key: number;
  request: GenerateRequest;
  first: number;
  n: number;
}

/** Where the cache's rows and pages are. */
interface Memory {
  cache: KvCache;
  pool: PagePool;
}

/** The admitted outputs with their first token, in order. */
export function prefill(engine: EngineContext, admitted: readonly Admission[], memory: Memory): Sequence[] {
  using _scope = engine.model.device.scope();
  const { hidden, cuSeqlens, pages } = runPrompts(engine, admitted, memory);
  const sequences: Sequence[] = [];
  const rows: number[] = [];
  const copies = { from: [] as number[], to: [] as number[] };
  admitted.forEach((admission, a) => {
    for (let i = 0; i < admission.n; i++) {
      const own = pagesOfSample(engine, admission, pages[a]!, i, memory.pool, copies);
      rows.push(cuSeqlens[a + 1]! - 1);
      sequences.push(sequenceOf(admission, i, own));
    }
  });
  memory.cache.copyPages(copies.from, copies.to);
  drawFirst(engine, sequences, hidden, rows);
  return sequences;
}

/** Runs the prompts as documents of one batch, writing their keys and values into pages of their own. */
function runPrompts(engine: EngineContext, admitted: readonly Admission[], { cache, pool }: Memory) {
  const { model } = engine;
  const { device } = model;
  const grid = gridOf(model.config);
  const tokens: number[] = [];
  const cuSeqlens = [0];
  const slots: number[] = [];
  const blockSlots: number[] = [];
  const pages = admitted.map(({ request: { prompt } }) => {
    const own = Array.from({ length: pagesFor(engine, prompt.length) }, () => pool.take());
    for (let t = 0; t < prompt.length; t++) {
      tokens.push(prompt[t]!);
      slots.push(cache.tokenSlot(own, t));
    }
    if (grid) {
      for (let p = 0; p + grid.blockSize <= prompt.length; p += grid.stride) {
        blockSlots.push(cache.blockSlot(own, p / grid.stride, grid.stride));
      }
    }
    cuSeqlens.push(tokens.length);
    return own;
  });
  const batch = model.upload({ tokens: Int32Array.from(tokens), cuSeqlens: Int32Array.from(cuSeqlens) });
  const prefillSlots = {
    tokens: device.from(slots, [slots.length], "i32"),
    blocks: blockSlots.length > 0 ? device.from(blockSlots, [blockSlots.length], "i32") : undefined,
  };
  const hidden = model.forward(new Tape(false), batch, {
    attend: (layer, inputs, tape) => cache.prefill(layer, inputs, batch.docs, prefillSlots, tape),
  });
  engine.stats.prefillTokens += tokens.length;
  return { hidden, cuSeqlens, pages };
}

/**
 * Pages of sample `i` of an admission: the first sample has the prompt's own, the others share those that are full and
 * copy the rest; `copies` gathers the copies to make.
 */
function pagesOfSample(
  engine: EngineContext,
  { request }: Admission,
  pages: readonly number[],
  i: number,
  pool: PagePool,
  copies: { from: number[]; to: number[] },
): number[] {
  const grid = gridOf(engine.model.config);
  // A page is shared when neither tokens nor compressed blocks will be written into it again.
  const overhang = grid ? grid.blockSize - grid.stride : 0;
  const own = pages.map((page, j) => {
    if (i === 0) return page;
    if ((j + 1) * engine.pageSize + overhang <= request.prompt.length) {
      pool.share(page);
      return page;
    }
    const copy = pool.take();
    copies.from.push(page);
    copies.to.push(copy);
    return copy;
  });
  const all = pagesOfOutput(engine, request);
  while (own.length < all) own.push(pool.take());
  return own;
}

/** Written out: objects made by a spread are forty times slower to step through. */
function sequenceOf({ key, request, first }: Admission, i: number, pages: number[]): Sequence {
  return {
    key,
    request,
    sample: first + i,
    drawn: request.firstPosition ?? 0,
    pages,
    length: request.prompt.length,
    last: -1,
    gone: false,
    out: { ids: [], logp: [], keptLogmass: [], finish: "length" },
  };
}

/** Draws every output's first token from the last row of its prompt. */
function drawFirst(engine: EngineContext, sequences: Sequence[], hidden: Tensor, rows: number[]): void {
  const { model } = engine;
  const { device } = model;
  const cols = model.config.dModel;
  const idx = device.from(rows, [rows.length], "i32");
  const last = device.empty([rows.length, cols], hidden.dtype);
  device.run("gather_rows", { x: hidden, idx, y: last, rows: rows.length, cols });
  const sampler = new Sampler(model, rows.length);
  sampler.assign(sequences);
  sampler.moveTo(sequences);
  sampler.draw(last);
  for (const s of sequences) s.drawn++;
  appendDrawn(engine, sequences, sampler.read(0)());
}
