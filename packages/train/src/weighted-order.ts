// Numbers of several sources in turn, each source as often as its weight wants and in an order of its own, without end.
import { NsaError, type OrderState, ShuffledOrder } from "@nsa/core";

export interface WeightedOrderState {
  /** Draws from each source so far. */
  given: number[];
  sources: OrderState[];
}

/** The first stream of the sources' random numbers. */
const STREAM = 1300;

/** Each draw goes to the source that is furthest behind its share, so shares are exact over any long stretch; ties to the first. */
export class WeightedOrder {
  private readonly orders: ShuffledOrder[];
  private readonly shares: number[];
  private given: number[];

  /** `members`: the numbers of each source. `weights`: how often an example of a source comes beside one of weight 1. */
  constructor(
    private readonly members: readonly ArrayLike<number>[],
    weights: readonly number[],
    seed: number,
  ) {
    this.orders = members.map((own, s) => new ShuffledOrder(Math.max(1, own.length), seed, STREAM + s));
    const sizes = members.map((own, s) => own.length * weights[s]!);
    const total = sizes.reduce((a, b) => a + b, 0);
    if (!(total > 0))
      throw new NsaError({
        code: "corpus_empty",
        what: "no example is left to learn from",
        why: "the sources with a weight above 0 have none",
        fix: "give a source with examples a weight above 0",
        exitCode: 3,
      });
    this.shares = sizes.map((size) => size / total);
    this.given = members.map(() => 0);
  }

  /** The next number, which stays the next one. */
  get next(): number {
    const source = this.turn();
    return this.members[source]![this.orders[source]!.next]!;
  }

  take(): number {
    const source = this.turn();
    this.given[source]!++;
    return this.members[source]![this.orders[source]!.take()]!;
  }

  save(): WeightedOrderState {
    return { given: [...this.given], sources: this.orders.map((order) => order.save()) };
  }

  /** Throws NsaError `data_changed`, `state_invalid` (exit 3). */
  load({ given, sources }: WeightedOrderState): void {
    if (sources?.length !== this.orders.length)
      throw new NsaError({
        code: "data_changed",
        what: `the run had ${sources?.length ?? "no weighted"} sources of examples, and now there are ${this.orders.length}`,
        why: "the order of the examples would be another",
        fix: "put the sources back as they were, or start a new run",
        exitCode: 3,
      });
    for (const [s, order] of this.orders.entries()) order.load(sources[s]);
    this.given = [...given];
  }

  private turn(): number {
    const draws = this.given.reduce((a, b) => a + b, 0) + 1;
    let best = -1;
    let most = Number.NEGATIVE_INFINITY;
    for (const [s, share] of this.shares.entries()) {
      const behind = draws * share - this.given[s]!;
      if (share === 0 || behind <= most + 1e-9) continue;
      best = s;
      most = behind;
    }
    return best;
  }
}
