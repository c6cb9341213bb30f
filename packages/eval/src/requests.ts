// What is the same for answers in text and answers with programs: requests of the questions that fit the context, rows of those that
// do not, and greedy answers beside sampled ones.
import type { Tokenizer } from "@nsa/data";
import { splitStops, type TaskProblem } from "@nsa/tasks";
import type { Generation, Question } from "./question.ts";
import type { GreedyRow, SampleRow } from "./rows.ts";
import type { Session } from "./session.ts";

/** Questions as the engine takes them; `asked` are the places of those that fit, in order. */
export function requestsOf(
  { tokenizer, model, config }: Session,
  generation: Generation,
  questions: readonly Question[],
  first: number,
) {
  const { samples, maxTokens, stop } = generation;
  const prompts = questions.map((q) => tokenizer.encode(q.prompt));
  const fits = (prompt: readonly number[]) =>
    prompt.length > 0 && prompt.length + 1 <= model.config.maxSeqLen;
  const asked = questions.flatMap((_, i) => (fits(prompts[i]!) ? [i] : []));
  const requests = asked.map((i) => ({
    prompt: prompts[i]!,
    n: samples,
    maxTokens,
    sampling: generation.greedy ? { ...config.sampling, temperature: 0 } : config.sampling,
    seed: config.seed + generation.index,
    id: (first + i) * samples,
    ...splitStops(tokenizer, stop),
  }));
  return { prompts, asked, requests };
}

/** The text of an output up to the first of its stops, without the tokens that end it. */
export function completionOf(tokenizer: Tokenizer, ids: readonly number[], stop: readonly string[]): string {
  const text = tokenizer.decode(ids.filter((id) => !tokenizer.isEnd(id)));
  const at = Math.min(...stop.map((s) => text.indexOf(s)).filter((i) => i >= 0), text.length);
  return text.slice(0, at);
}

/** Rows of a question that was not asked, since the context has no room for it. */
export function unaskedRows(
  { model }: Session,
  { name, samples }: Generation,
  { problem, prompt }: { problem: TaskProblem; prompt: string },
  { step, tokens }: { step: number; tokens: number },
): SampleRow[] {
  const why = `the prompt has ${tokens} tokens, the context ${model.config.maxSeqLen}`;
  return Array.from({ length: samples }, (_, sample) => ({
    ...{ kind: "sample", step, task: name, id: problem.id, sample, prompt, gold: problem.answer, why },
    ...{ completion: "", answer: "", verdict: "unknown", form: "none", tokens: 0, logp: 0, finish: "length" },
  }));
}

/** Sampled rows, and greedy ones where the recipe asks for them. */
export async function alsoGreedy<G extends Generation>(
  generation: G,
  rowsOf: (generation: G) => SampleRow[] | Promise<SampleRow[]>,
): Promise<(SampleRow | GreedyRow)[]> {
  const sampled = await rowsOf({ ...generation, greedy: false });
  if (!generation.greedy) return sampled;
  const once = await rowsOf({ ...generation, samples: 1 });
  return [...sampled, ...once.map((row): GreedyRow => ({ ...row, kind: "greedy" }))];
}
