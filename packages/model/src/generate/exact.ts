// Generation by the trainer's own forward: every token is drawn from the whole text before it, without a cache.
//
// Slow (a forward of all tokens for each new one). On the CPU a row's bits depend neither on other rows nor on how texts are packed, so
// the log-probabilities that it gives are those of the trainer, bit for bit. On a GPU they agree as far as its kernels do.
import { packBatch, packTokens } from "@nsa/core";
import { gatherRows, Tape } from "@nsa/kernels";
import { logprobs } from "../heads/apply.ts";
import type { Transformer } from "../transformer/transformer.ts";
import type { GeneratedSample, GenerateRequest } from "./request.ts";
import { type Drawn, type SampleRow, Sampler } from "./sampler.ts";
import { checkRequest, type EngineContext, hasEnded, type Sequence } from "./sequence.ts";

/** An output that is being written; its place in a cache is of no meaning here. */
interface Writing extends SampleRow {
  key: number;
  out: GeneratedSample;
}

const tokensOf = ({ request, out }: Writing): number => request.prompt.length + out.ids.length;

/** Outputs in groups whose texts fit the budget. */
function chunksOf(rows: readonly Writing[], budget: number): Writing[][] {
  const chunks: Writing[][] = [];
  let room = 0;
  for (const row of rows) {
    const need = tokensOf(row);
    if (need > room || chunks.length === 0) {
      chunks.push([]);
      room = budget;
    }
    chunks.at(-1)!.push(row);
    room -= need;
  }
  return chunks;
}

/** Draws the next token of each row. */
function drawNext(model: Transformer, rows: readonly Writing[]): Drawn {
  const { device } = model;
  using _ = device.scope();
  const documents = rows.map(({ request, out }) => {
    const ids = [...Array.from(request.prompt), ...out.ids];
    return { ids, length: ids.length };
  });
  const { tokens, cuSeqlens } = packTokens(documents);
  const hidden = model.forward(new Tape(false), model.upload({ tokens, cuSeqlens }));
  const last = Int32Array.from(rows, (_, i) => cuSeqlens[i + 1]! - 1);
  const sampler = new Sampler(model, rows.length);
  sampler.assign(rows);
  sampler.moveTo(rows);
  sampler.draw(gatherRows(new Tape(false), hidden, device.from(last, [rows.length], "i32")));
  return sampler.read(0)();
}

/** The trainer's log-probabilities of an output, as a text of its own. */
function trainerLogp(model: Transformer, { request: { prompt, sampling }, out }: Writing): number[] {
  const first = prompt.length;
  const ids = Int32Array.from([...Array.from(prompt), ...out.ids]);
  const batch = packBatch([{ ids, weight: 0, isTarget: (index) => index >= first }]);
  const temperature = sampling.temperature > 0 ? sampling.temperature : 1;
  return Array.from(logprobs(model, batch, { temperature }).logp.subarray(first - 1));
}

/** Outputs of every request, in order, as `Engine.generate`. Throws NsaError `prompt_too_long` and `prompt_empty` (exit 2). */
export function generateExact(
  engine: EngineContext,
  requests: readonly GenerateRequest[],
): GeneratedSample[][] {
  const { model, options, stats } = engine;
  for (const r of requests) checkRequest(engine, r);
  const all = requests.flatMap((request, key) =>
    Array.from({ length: request.n }, (_, sample): Writing => {
      const out: GeneratedSample = { ids: [], logp: [], keptLogmass: [], finish: "length" };
      return { key, request, sample, drawn: 0, out };
    }),
  );
  let open = all;
  while (open.length > 0 && !options.cancelled?.()) {
    for (const rows of chunksOf(open, options.prefillTokens)) {
      const { ids, keptLogmass, kept } = drawNext(model, rows);
      for (const [i, row] of rows.entries()) {
        const { out } = row;
        out.ids.push(ids[i]!);
        out.keptLogmass.push(keptLogmass[i]!);
        const among = kept?.[i];
        if (among) out.kept = [...(out.kept ?? []), among];
        row.drawn++;
        stats.decodeTokens++;
        options.onToken?.(row.key, row.sample, ids[i]!, out);
      }
    }
    stats.steps++;
    open = open.filter((row) => !hasEnded(engine, row as unknown as Sequence));
  }
  for (const row of all) row.out.logp = trainerLogp(model, row);
  return requests.map((_, key) => all.filter((row) => row.key === key).map(({ out }) => out));
}
