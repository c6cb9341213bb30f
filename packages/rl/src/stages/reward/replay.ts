// What a reward model is retrained on: fresh outputs with a fixed share of history, and the reservoir that history is kept in.
import { Rng, type StepBatch } from "@nsa/core";
import { packTexts, positionsOfExample, type RewardExample, weightOfExample } from "./examples.ts";

/** A uniform sample of at most `size` of all items that were added (Vitter's algorithm R), the same for the same seed and items. */
export class Reservoir<T> {
  readonly items: T[] = [];
  private readonly rng: Rng;

  constructor(
    private readonly size: number,
    seed: number,
    /** Items added so far; `items` hold a sample of them. */
    public seen = 0,
    kept: readonly T[] = [],
  ) {
    this.rng = new Rng(seed, RESERVOIR_STREAM);
    this.items.push(...kept);
  }

  add(item: T): void {
    this.seen++;
    if (this.items.length < this.size) {
      this.items.push(item);
      return;
    }
    const place = this.rng.int(this.seen, this.seen % 2 ** 32, Math.floor(this.seen / 2 ** 32));
    if (place < this.size) this.items[place] = item;
  }
}

const RESERVOIR_STREAM = 63;
const FRESH_STREAM = 64;
const HISTORY_STREAM = 65;

/** Endless draws from a list: all items once, shuffled, then again in another order. */
function* endless<T>(items: readonly T[], seed: number, stream: number): Generator<T> {
  const rng = new Rng(seed, stream);
  for (let epoch = 0; ; epoch++) yield* rng.shuffle(items, epoch);
}

/**
 * Draws without end: of any first k, ⌊k · share⌋ come from history, the others are fresh. Without history all are fresh, and without
 * fresh items all are history.
 */
export function* withReplay<T>(
  fresh: readonly T[],
  history: readonly T[],
  share: number,
  seed: number,
): Generator<{ item: T; replayed: boolean }> {
  const both = fresh.length > 0 && history.length > 0;
  const [news, olds] = [endless(fresh, seed, FRESH_STREAM), endless(history, seed, HISTORY_STREAM)];
  for (let k = 0; ; k++) {
    // The small amount keeps 0.1 · 10 from falling below 1.
    const due = Math.floor((k + 1) * share + 1e-9) > Math.floor(k * share + 1e-9);
    const replayed = both ? due : fresh.length === 0;
    const { value } = (replayed ? olds : news).next();
    yield { item: value as T, replayed };
  }
}

export interface ReplayOptions {
  share: number;
  seed: number;
  loss: string;
  microBatches: number;
  microBatchTokens: number;
}

/** Steps of examples drawn by {@link withReplay}, packed up to the budget of tokens. */
export class ReplaySource {
  private readonly draws: Generator<{ item: RewardExample; replayed: boolean }>;
  private held: RewardExample | undefined;

  constructor(
    fresh: readonly RewardExample[],
    history: readonly RewardExample[],
    private readonly options: ReplayOptions,
  ) {
    this.draws = withReplay(fresh, history, options.share, options.seed);
  }

  next(): StepBatch {
    const { loss, microBatches } = this.options;
    const packs = Array.from({ length: microBatches }, () => this.pack());
    return {
      microBatches: packs.map((examples) => packTexts(examples, loss)),
      weightSum: packs.flat().reduce((sum, example) => sum + weightOfExample(example), 0),
    };
  }

  private pack(): RewardExample[] {
    const chosen: RewardExample[] = [];
    let room = this.options.microBatchTokens;
    for (;;) {
      const example = this.held ?? (this.draws.next().value as { item: RewardExample }).item;
      this.held = undefined;
      room -= positionsOfExample(example);
      if (room < 0 && chosen.length > 0) {
        this.held = example;
        return chosen;
      }
      chosen.push(example);
    }
  }
}
