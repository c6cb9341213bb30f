// Figures of a step over all ranks: each rank has those of its own micro-batches.
import type { Collectives } from "@nsa/kernels";

type Figures = Record<string, number>;

/** The text of rank 0 on every rank. */
function textOfFirst(collectives: Collectives, text: string): string {
  const mine = collectives.rank === 0 ? Buffer.from(text) : Buffer.alloc(0);
  const [length] = collectives.allReduceNumbers([mine.length]);
  if (length === 0) return "";
  const codes = Array.from({ length: length! }, (_, i) => mine[i] ?? 0);
  return Buffer.from(collectives.allReduceNumbers(codes)).toString();
}

/**
 * Sums over ranks, and the largest of figures whose name ends in `_max`. Names are those of rank 0, whose share of a step is never
 * empty; a rank that lacks one counts as 0, or is left out of the largest.
 */
export function figuresOverRanks(collectives: Collectives, own: Figures): Figures {
  const { rank, world } = collectives;
  if (world === 1) return own;
  const text = textOfFirst(collectives, Object.keys(own).join("\n"));
  if (text === "") return own;
  const names = text.split("\n");
  const largest = names.filter((name) => name.endsWith("_max"));
  const sums = collectives.allReduceNumbers(
    names.map((name) => (name.endsWith("_max") ? 0 : (own[name] ?? 0))),
  );
  const figures: Figures = Object.fromEntries(names.map((name, i) => [name, sums[i]!]));
  // Each rank fills its own places: a sum brings the values of all to all.
  const places = new Array<number>(largest.length * world * 2).fill(0);
  largest.forEach((name, i) => {
    const at = (i * world + rank) * 2;
    if (own[name] !== undefined) [places[at], places[at + 1]] = [own[name], 1];
  });
  const all = largest.length > 0 ? collectives.allReduceNumbers(places) : [];
  largest.forEach((name, i) => {
    const found = Array.from({ length: world }, (_, r) => (i * world + r) * 2).filter(
      (at) => all[at + 1] === 1,
    );
    figures[name] = Math.max(...found.map((at) => all[at]!));
  });
  return figures;
}
