// RM@K: how often the best-scored of K samples is right.

/**
 * Chance that the sample of highest score among k, drawn from the n without replacement, is right; samples of equal score
 * share the draw evenly, and those without a number (NaN) come last. Exact: a group of m tied samples at rank r wins when none of the r better ones is drawn.
 */
export function rmAtK(scores: readonly number[], right: readonly boolean[], k: number): number {
  const n = scores.length;
  if (k > n) throw new Error(`rm@${k} needs ${k} samples, there are ${n}`);
  const ranked = scores.map((score) => (Number.isNaN(score) ? Number.NEGATIVE_INFINITY : score));
  const order = ranked
    .map((_, i) => i)
    .sort((a, b) => (ranked[b]! > ranked[a]! ? 1 : ranked[b]! < ranked[a]! ? -1 : 0));
  // P(no sample of the best r is drawn) = Π (n − k − i)/(n − i).
  const missed = (r: number) => {
    let p = 1;
    for (let i = 0; i < r; i++) p *= Math.max(0, n - k - i) / (n - i);
    return p;
  };
  let chance = 0;
  for (let from = 0; from < n; ) {
    let to = from;
    while (to < n && ranked[order[to]!] === ranked[order[from]!]) to++;
    const share = order.slice(from, to).filter((i) => right[i]).length / (to - from);
    chance += share * (missed(from) - missed(to));
    from = to;
  }
  return chance;
}
