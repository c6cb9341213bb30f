// Pass@K and Maj@K from n samples by unbiased estimators: the mean over all K-subsets of the samples.

/** 1 − C(n−c, k)/C(n, k): the chance that one of k samples is right when c of n are (Chen et al., 2021). */
export function passAtK(n: number, c: number, k: number): number {
  if (k > n) throw new Error(`pass@${k} needs ${k} samples, there are ${n}`);
  if (n - c < k) return 1;
  let miss = 1;
  for (let i = n - c + 1; i <= n; i++) miss *= 1 - k / i;
  return 1 - miss;
}

/** ln C(n, k) for all k ≤ n ≤ size. */
function logChoose(size: number): (n: number, k: number) => number {
  const f = new Float64Array(size + 1);
  for (let i = 1; i <= size; i++) f[i] = f[i - 1]! + Math.log(i);
  return (n, k) => (k < 0 || k > n ? Number.NEGATIVE_INFINITY : f[n]! - f[k]! - f[n - k]!);
}

/**
 * Chance that the majority answer of k samples, drawn without replacement, is right; ties are broken evenly among the
 * tied classes. `counts[i]` is how often answer class i was given; unparsed samples are classes of their own of count 1
 * only if the caller lists them so.
 *
 * Exact: for every number r of right samples and tie size, other classes are counted by a polynomial in (draws, ties).
 */
export function majAtK(counts: readonly number[], right: number, k: number): number {
  const n = counts.reduce((a, b) => a + b, 0);
  if (k > n) throw new Error(`maj@${k} needs ${k} samples, there are ${n}`);
  const c = right >= 0 ? (counts[right] ?? 0) : 0;
  if (c === 0) return 0;
  const choose = logChoose(n);
  const others = counts.filter((x, i) => i !== right && x > 0);
  const total = choose(n, k);
  let chance = 0;
  for (let r = 1; r <= Math.min(c, k); r++) {
    // ways[j][t]: weight of drawing j samples from the others, none above r times, t classes exactly r times.
    const room = k - r;
    const maxTies = Math.min(others.length, Math.floor(room / r));
    let ways = Array.from({ length: room + 1 }, () => new Float64Array(maxTies + 1));
    ways[0]![0] = 1;
    for (const size of others) {
      const next = Array.from({ length: room + 1 }, () => new Float64Array(maxTies + 1));
      for (let j = 0; j <= room; j++) {
        for (let t = 0; t <= maxTies; t++) {
          const w = ways[j]![t]!;
          if (w === 0) continue;
          for (let d = 0; d <= Math.min(size, r, room - j); d++) {
            const tie = t + (d === r ? 1 : 0);
            if (tie <= maxTies) next[j + d]![tie]! += w * Math.exp(choose(size, d));
          }
        }
      }
      ways = next;
    }
    for (let t = 0; t <= maxTies; t++) {
      const w = ways[room]![t]!;
      if (w > 0) chance += Math.exp(choose(c, r) + Math.log(w) - total) / (t + 1);
    }
  }
  return chance;
}
