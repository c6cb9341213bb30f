// The items of a `for` and its `loop`. Items are taken one by one, so that a generator whose loop breaks still has the others: `loop.last`
// and `loop.nextitem` take one in advance, `loop.length` and what is counted from the end take all.
import { spend } from "./budget.ts";
import { Attributes, Callable, equal, iterate, Sequence, Undefined, type Value } from "./values.ts";

export class LoopItems {
  /** Items given so far. */
  count = 0;
  /** The item given before the last one, and the last one. */
  previous: Value | undefined;
  private current: Value | undefined;
  private readonly ahead: Value[] = [];
  private readonly take: () => Value | undefined;

  /** `accepted`: an item behind the loop's condition, undefined where that does not hold. Throws an Error for a value without items. */
  constructor(
    over: Value,
    private readonly accepted: (item: Value) => Value | undefined,
  ) {
    let at = 0;
    if (over instanceof Sequence && over.kind === "generator") {
      // What the body takes of the same generator is gone for the loop, too.
      this.take = () => over.take();
    } else {
      const items = iterate(over);
      this.take = () => items[at++];
    }
  }

  next(): Value | undefined {
    const item = this.peek();
    this.ahead.shift();
    this.previous = this.current;
    this.current = item;
    this.count++;
    return item;
  }

  /** The item to come. */
  peek(): Value | undefined {
    if (this.ahead.length === 0) this.pull();
    return this.ahead[0];
  }

  /** Number of items to come. */
  remaining(): number {
    while (this.pull());
    return this.ahead.length;
  }

  private pull(): boolean {
    for (let item = this.take(); item !== undefined; item = this.take()) {
      spend(1);
      const found = this.accepted(item);
      if (found === undefined) continue;
      this.ahead.push(found);
      return true;
    }
    return false;
  }
}

/** Values that are read of the items when they are asked for. */
class LoopValues extends Map<string, Value> {
  constructor(
    private readonly items: LoopItems,
    private readonly depth: number,
  ) {
    super();
  }

  override get(name: string): Value | undefined {
    const { items, depth } = this;
    const missing = (which: string) => new Undefined(`there is no ${which} item`);
    switch (name) {
      case "index":
        return items.count;
      case "index0":
        return items.count - 1;
      case "revindex":
        return items.remaining() + 1;
      case "revindex0":
        return items.remaining();
      case "length":
        return items.count + items.remaining();
      case "first":
        return items.count === 1;
      case "last":
        return items.peek() === undefined;
      case "previtem":
        return items.previous === undefined ? missing("previous") : items.previous;
      case "nextitem": {
        const next = items.peek();
        return next === undefined ? missing("next") : next;
      }
      case "depth":
        return depth + 1;
      case "depth0":
        return depth;
      default:
        return super.get(name);
    }
  }
}

/** The `loop` of a loop; `again` runs its body over other items, where it is recursive. */
export function loopObject(
  items: LoopItems,
  depth: number,
  again: ((items: Value) => string) | undefined,
): Attributes {
  const values = new LoopValues(items, depth);
  values.set(
    "cycle",
    new Callable("cycle", (args) => {
      if (args.length === 0) throw new Error("no items for cycling given");
      return args[(items.count - 1) % args.length]!;
    }),
  );
  let last: Value[] | undefined;
  values.set(
    "changed",
    new Callable("changed", (args) => {
      const same = last !== undefined && equal(last, args);
      last = args;
      return !same;
    }),
  );
  return new Attributes(
    values,
    false,
    again && (([inner]) => again(inner ?? new Undefined("loop() lacks its items"))),
  );
}
