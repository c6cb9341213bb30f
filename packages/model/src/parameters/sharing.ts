// Ranks that share out masters and moments (ZeRO-1, arXiv 1910.02054): each holds those of some of the trained matrices, whole, and what is small is held by all.
//
// Gradients and the weights that the model computes with are whole on every rank, at the offsets of the layout. Masters of a bf16 model
// and moments lie behind one another in shorter buffers: their places are those of `heldAt`.
import type { Collectives, Tensor } from "@nsa/kernels";
import type { GradientBucket } from "./buckets.ts";
import { type GroupLayout, type Layout, paddedSize } from "./layout.ts";
import type { WeightSpec } from "./weight-spec.ts";

/** Trained weights that lie behind one another in all buffers, and that one update may take together. */
export interface HeldRun {
  group: GroupLayout;
  weights: WeightSpec[];
  /** Elements from the start of the gradients and of the bf16 copies. */
  offset: number;
  /** Elements from the start of the buffers of masters and moments. */
  held: number;
  numel: number;
}

/** What the ranks do with a bucket of gradients: sums for one rank each, and sums for all. */
export interface BucketPlan {
  owned: { from: number; to: number; owner: number }[];
  all: { from: number; to: number }[];
}

/** The rank of each trained matrix: the largest first, each to the rank that has the fewest elements so far. */
function ownersOf({ groups }: Layout, world: number): Map<string, number> {
  const matrices = groups.flatMap((g) => (g.trainable ? g.weights.filter((w) => w.matrix) : []));
  const loads = new Array<number>(world).fill(0);
  const owners = new Map<string, number>();
  for (const w of matrices.toSorted((a, b) => paddedSize(b) - paddedSize(a))) {
    const owner = loads.indexOf(Math.min(...loads));
    loads[owner] = loads[owner]! + paddedSize(w);
    owners.set(w.key, owner);
  }
  return owners;
}

/** Places of the weights in the buffers of one rank, and how many elements those have: of trained weights alone, and with the frozen ones. */
interface Places {
  at: Map<string, number>;
  trained: number;
  all: number;
}

function placesOf(layout: Layout, owners: ReadonlyMap<string, number>, rank: number): Places {
  const at = new Map<string, number>();
  let [trained, all] = [0, 0];
  for (const group of layout.groups)
    for (const w of group.weights) {
      if (w.lowOnly || (owners.get(w.key) ?? rank) !== rank) continue;
      at.set(w.key, all);
      all += paddedSize(w);
      if (group.trainable) trained = all;
    }
  return { at, trained, all };
}

/** Elements of a buffer of moments: those of all trained weights, and those that the rank of `world` with the most of them holds. */
export function sharedNumel(layout: Layout, world: number): { all: number; largest: number } {
  const owners = ownersOf(layout, world);
  const own = Array.from({ length: world }, (_, rank) => placesOf(layout, owners, rank).trained);
  return { all: layout.trainableNumel, largest: Math.max(...own) };
}

export class Sharing {
  private readonly owners: Map<string, number>;
  private readonly places: Places[];
  private readonly plans = new Map<number, BucketPlan>();
  /** The buffers that a save reads, in the same order on all ranks, while one does. */
  private served: readonly Tensor[] = [];

  constructor(
    private readonly layout: Layout,
    readonly collectives: Collectives,
  ) {
    const { world } = collectives;
    this.owners = ownersOf(layout, world);
    this.places = Array.from({ length: world }, (_, rank) => placesOf(layout, this.owners, rank));
  }

  /** Elements of a buffer of moments, and of masters, on this rank. */
  get trainedNumel(): number {
    return this.own.trained;
  }

  get heldNumel(): number {
    return this.own.all;
  }

  /** The rank that updates a weight; undefined where all do. */
  ownerOf(key: string): number | undefined {
    return this.owners.get(key);
  }

  /** Where this rank has the weight in its buffers of masters and moments; undefined where another has it. */
  heldAt(key: string): number | undefined {
    return this.own.at.get(key);
  }

  /** The weights that this rank updates, in runs that lie together, have weight decay or none, and are held by this rank alone or by all. */
  runs(): HeldRun[] {
    const runs: HeldRun[] = [];
    for (const group of this.layout.groups.filter((g) => g.trainable))
      for (const w of group.weights) {
        const held = this.heldAt(w.key);
        if (held === undefined) continue;
        const last = runs.at(-1);
        const [numel, offset] = [paddedSize(w), w.offset];
        const like = last?.weights[0];
        const follows = last?.group === group && like!.decay === w.decay;
        const shared = like && this.ownerOf(like.key) === this.ownerOf(w.key);
        if (follows && shared && last.offset + last.numel === offset && last.held + last.numel === held) {
          last.weights.push(w);
          last.numel += numel;
        } else runs.push({ group, weights: [w], offset, held, numel });
      }
    return runs;
  }

  /** The ranges of trained matrices by their owners, in the order of the layout. */
  ownedRanges(): BucketPlan["owned"] {
    const trained = this.layout.groups.filter((g) => g.trainable).flatMap((g) => g.weights);
    return this.planOf(trained).owned;
  }

  bucketPlan({ index, weights }: GradientBucket): BucketPlan {
    const known = this.plans.get(index);
    if (known) return known;
    const keys = new Set(weights);
    const plan = this.planOf(this.layout.weights.filter((w) => keys.has(w.key)));
    this.plans.set(index, plan);
    return plan;
  }

  /**
   * Runs `save` on rank 0, while the others hand it the pieces of `buffers` that it asks for by {@link fetch}; all ranks must call it
   * with their buffers in the same order. Resolves when the save is done.
   */
  async saving<R>(buffers: readonly Tensor[], save: () => Promise<R>): Promise<R | undefined> {
    this.served = buffers;
    try {
      if (this.collectives.rank !== 0) {
        while (this.passPiece([0, 0, 0, 0, 0]));
        return undefined;
      }
      try {
        return await save();
      } finally {
        this.passPiece([0, 0, 0, 0, 1]);
      }
    } finally {
      this.served = [];
    }
  }

  /** Elements from `from` on of a weight that another rank holds in its buffer that corresponds to `buffer`; on rank 0, inside `saving`. */
  fetch(buffer: Tensor, key: string, from: number, numel: number, use: (piece: Tensor) => void): void {
    const index = this.served.indexOf(buffer);
    if (index < 0) throw new Error(`${key} is held by another rank, and no save is under way`);
    const owner = this.owners.get(key)!;
    this.passPiece([index, owner, this.places[owner]!.at.get(key)! + from, numel, 0], use);
  }

  /** One piece from its owner to all: what rank 0 asks for, or false where it has all it wants. */
  private passPiece(ask: number[], use?: (piece: Tensor) => void): boolean {
    const [index, owner, from, numel, end] = this.collectives.allReduceNumbers(ask) as number[];
    if (end === 1) return false;
    const buffer = this.served[index!]!;
    using _ = buffer.device.scope();
    const mine = owner === this.collectives.rank;
    const piece = mine ? buffer.view(from!, [numel!]) : buffer.device.empty([numel!], buffer.dtype);
    this.collectives.broadcast(piece, owner!);
    use?.(piece);
    return true;
  }

  private planOf(weights: readonly WeightSpec[]): BucketPlan {
    const plan: BucketPlan = { owned: [], all: [] };
    for (const w of weights) {
      const owner = this.owners.get(w.key);
      const [from, to] = [w.offset, w.offset + paddedSize(w)];
      const last = owner === undefined ? plan.all.at(-1) : plan.owned.at(-1);
      const joins = last?.to === from && (owner === undefined || plan.owned.at(-1)!.owner === owner);
      if (joins) last.to = to;
      else if (owner === undefined) plan.all.push({ from, to });
      else plan.owned.push({ from, to, owner });
    }
    return plan;
  }

  private get own(): Places {
    return this.places[this.collectives.rank]!;
  }
}
