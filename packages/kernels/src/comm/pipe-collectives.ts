// Collectives between processes of one machine over named pipes: for data parallelism on the CPU.
//
// A sum is taken by one rank, which receives from the others in ascending order and adds in that order: the lowest rank of the group
// for all-reduce, the owner of each part for reduce-scatter. Tensors pass in pieces: gradients grow with the model, and host memory
// should not.
import { ExitCode, NsaError, PIECE_BYTES, type RankPlace } from "@nsa/core";
import { hostArray } from "../device/dtype.ts";
import type { Tensor } from "../device/tensor.ts";
import type { Collectives, PartOptions, RankGroup } from "./collectives.ts";
import { membersOf, misuse, partsOf } from "./groups.ts";
import { Lines, type Operation } from "./pipes.ts";

type Values = Float32Array | Float64Array;

const bytesOf = (x: ArrayBufferView) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

function floats(t: Tensor, n: number): Values {
  const values = hostArray(t.dtype, n);
  if (values instanceof Float32Array || values instanceof Float64Array) return values;
  throw new Error(`no sum over ranks of ${t.dtype}`);
}

class PipeCollectives implements Collectives {
  readonly rank: number;
  readonly world: number;
  private readonly lines: Lines;

  constructor(
    place: RankPlace,
    private readonly pieceElements: number,
  ) {
    this.rank = place.rank;
    this.world = place.world;
    this.lines = new Lines(place);
  }

  allReduce(t: Tensor, group?: RankGroup): void {
    const ranks = membersOf(this, group);
    this.pieces(t.numel, (at, n) => {
      const values = floats(t, n);
      t.device.readInto(t, values, at);
      t.device.writeRaw(t, this.sumOnAll("all-reduce", values, ranks), at);
    });
  }

  allReduceNumbers(values: number[], group?: RankGroup): number[] {
    return Array.from(this.sumOnAll("all-reduce", Float64Array.from(values), membersOf(this, group)));
  }

  reduceScatter(t: Tensor, out: Tensor, options: PartOptions = {}): void {
    const { ranks, lengths, starts } = partsOf(this, "reduce-scatter", t.numel, out.numel, options);
    for (const [i, owner] of ranks.entries()) {
      this.pieces(lengths[i]!, (at, n) => {
        const values = floats(t, n);
        t.device.readInto(t, values, starts[i]! + at);
        if (owner !== this.rank) this.lines.send(owner, "reduce-scatter", bytesOf(values));
        else out.device.writeRaw(out, this.sumHere("reduce-scatter", values, ranks), at);
      });
    }
  }

  reduceTo(t: Tensor, root: number): void {
    const ranks = membersOf(this, undefined);
    if (!ranks.includes(root)) throw misuse(`a sum for rank ${root}`, `there are ${this.world} ranks`);
    this.pieces(t.numel, (at, n) => {
      const values = floats(t, n);
      t.device.readInto(t, values, at);
      if (root !== this.rank) this.lines.send(root, "reduce-scatter", bytesOf(values));
      else t.device.writeRaw(t, this.sumHere("reduce-scatter", values, ranks), at);
    });
  }

  allGather(part: Tensor, out: Tensor, options: PartOptions = {}): void {
    const { ranks, lengths, starts } = partsOf(this, "all-gather", out.numel, part.numel, options);
    for (const [i, owner] of ranks.entries()) {
      this.pieces(lengths[i]!, (at, n) => {
        const values = hostArray(out.dtype, n);
        if (owner === this.rank) part.device.readInto(part, values, at);
        this.passOn("all-gather", bytesOf(values), owner, ranks);
        out.device.writeRaw(out, values, starts[i]! + at);
      });
    }
  }

  broadcast(t: Tensor, root: number, group?: RankGroup): void {
    const ranks = membersOf(this, group);
    if (!ranks.includes(root))
      throw misuse(`broadcast from rank ${root}`, `the group is ${ranks.join(", ")}`);
    this.pieces(t.numel, (at, n) => {
      const values = hostArray(t.dtype, n);
      if (root === this.rank) t.device.readInto(t, values, at);
      this.passOn("broadcast", bytesOf(values), root, ranks);
      if (root !== this.rank) t.device.writeRaw(t, values, at);
    });
  }

  gatherBytes(own: Uint8Array, group?: RankGroup): Uint8Array[] {
    const ranks = membersOf(this, group);
    // Each rank fills its own place, so the sum holds the lengths of all.
    const filled = Float64Array.from(ranks, (rank) => (rank === this.rank ? own.length : 0));
    const lengths = this.sumOnAll("gather", filled, ranks);
    return ranks.map((rank, i) => {
      const bytes = rank === this.rank ? own : new Uint8Array(lengths[i]!);
      this.passOn("gather", bytes, rank, ranks);
      return bytes;
    });
  }

  barrier(group?: RankGroup): void {
    this.sumOnAll("barrier", new Float64Array(1), membersOf(this, group));
  }

  readonly overlaps = false;

  together(body: () => void): void {
    body();
  }

  settle(): void {}

  private pieces(n: number, body: (at: number, length: number) => void): void {
    for (let at = 0; at < n; at += this.pieceElements) body(at, Math.min(this.pieceElements, n - at));
  }

  /** Σ over the group in ascending order; the others send theirs here. */
  private sumHere<T extends Values>(operation: Operation, own: T, ranks: readonly number[]): T {
    const make = own.constructor as new (buffer: ArrayBufferLike) => T;
    let sum: T | undefined;
    for (const rank of ranks) {
      const values =
        rank === this.rank ? own : new make(this.lines.receive(rank, operation, own.byteLength).buffer);
      if (!sum) sum = values;
      else for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + values[i]!;
    }
    return sum!;
  }

  private sumOnAll<T extends Values>(operation: Operation, own: T, ranks: readonly number[]): T {
    const make = own.constructor as new (buffer: ArrayBufferLike) => T;
    const root = ranks[0]!;
    if (root !== this.rank) {
      this.lines.send(root, operation, bytesOf(own));
      return new make(this.lines.receive(root, operation, own.byteLength).buffer);
    }
    const sum = this.sumHere(operation, own, ranks);
    for (const rank of ranks) if (rank !== root) this.lines.send(rank, operation, bytesOf(sum));
    return sum;
  }

  /** Bytes of `root` on all ranks of the group, in place. */
  private passOn(operation: Operation, bytes: Uint8Array, root: number, ranks: readonly number[]): void {
    if (root !== this.rank) bytes.set(this.lines.receive(root, operation, bytes.length));
    else for (const rank of ranks) if (rank !== root) this.lines.send(rank, operation, bytes);
  }
}

/** Throws NsaError `ranks_differ` (exit 2), the same on every rank: they would not compute the same steps. */
function refuseDifferentRanks(collectives: Collectives, own: Record<string, string>): void {
  const all = collectives
    .gatherBytes(Buffer.from(JSON.stringify(own)))
    .map((bytes) => JSON.parse(Buffer.from(bytes).toString()) as Record<string, string>);
  const [first] = all;
  for (const [rank, theirs] of all.entries())
    for (const [name, value] of Object.entries(first!))
      if (theirs[name] !== value)
        throw new NsaError({
          code: "ranks_differ",
          what: `rank ${rank} has another ${name} than rank 0`,
          why: `${theirs[name]} and ${value}: ranks share every step, so all must run the same recipe and program`,
          fix: "start all ranks with the same recipe, settings and version of nsa",
          exitCode: ExitCode.usage,
        });
}

/**
 * Joins the world at `place.folder`; waits until all ranks have. A rank that ends makes the others throw `rank_lost`, one that stands
 * still `rank_hung` (exit 1). Throws `ranks_differ` (exit 2) where the ranks' identities are not equal.
 */
export function openRankPipes(place: RankPlace, pieceElements = PIECE_BYTES / 8): Collectives {
  const collectives = new PipeCollectives(place, pieceElements);
  if (place.identity) refuseDifferentRanks(collectives, place.identity);
  return collectives;
}
