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

/** Coefficients C(size, d) of d draws from a class. */
const drawsOf = (size: number, most: number, choose: (n: number, k: number) => number) =>
  Float64Array.from({ length: Math.min(size, most) + 1 }, (_, d) => Math.exp(choose(size, d)));

/** Weight of j draws from the classes together, j ≤ room, none more than r times. */
function drawsWithoutTies(
  classes: readonly number[],
  r: number,
  room: number,
  choose: (n: number, k: number) => number,
) {
  let ways = new Float64Array(room + 1);
  ways[0] = 1;
  let top = 0;
  for (const size of classes) {
    const draws = drawsOf(size, Math.min(r, room), choose);
    const next = new Float64Array(room + 1);
    for (let j = 0; j <= top; j++) {
      for (let d = 0; d < draws.length && j + d <= room; d++) next[j + d]! += ways[j]! * draws[d]!;
    }
    top = Math.min(room, top + draws.length - 1);
    ways = next;
  }
  return ways;
}

/**
 * Chance that the majority answer of k samples, drawn without replacement, is right, for each k; ties are broken evenly
 * among the tied classes. `counts[i]` is how often answer class i was given; unparsed samples are classes of their own of
 * count 1 only if the caller lists them so.
 *
 * Exact: for every number r of right samples, draws from the other classes are counted by a polynomial in (draws, ties);
 * classes smaller than r cannot tie and need the draws alone.
 */
export function majAtKs(counts: readonly number[], right: number, ks: readonly number[]): number[] {
  const n = counts.reduce((a, b) => a + b, 0);
  const most = Math.max(0, ...ks);
  if (most > n) throw new Error(`maj@${most} needs ${most} samples, there are ${n}`);
  const c = right >= 0 ? (counts[right] ?? 0) : 0;
  const chances = ks.map(() => 0);
  if (c === 0) return chances;
  const choose = logChoose(n);
  const others = counts.filter((x, i) => i !== right && x > 0);
  for (let r = 1; r <= Math.min(c, most); r++) {
    const room = most - r;
    const tying = others.filter((size) => size >= r);
    const small = others.filter((size) => size < r);
    const maxTies = Math.min(tying.length, Math.floor(room / r));
    // ways[t][j]: weight of drawing j samples from the others, none above r times, t classes exactly r times.
    let ways = [drawsWithoutTies(small, r, room, choose)];
    for (const size of tying) {
      const draws = drawsOf(size, Math.min(r, room), choose);
      const next = Array.from(
        { length: Math.min(maxTies, ways.length) + 1 },
        () => new Float64Array(room + 1),
      );
      for (const [t, row] of ways.entries()) {
        for (let d = 0; d < draws.length; d++) {
          const target = next[t + (d === r ? 1 : 0)];
          if (!target) continue;
          for (let j = 0; j + d <= room; j++) target[j + d]! += row[j]! * draws[d]!;
        }
      }
      ways = next;
    }
    for (const [at, k] of ks.entries()) {
      if (k < r) continue;
      const own = choose(c, r) - choose(n, k);
      for (const [t, row] of ways.entries()) {
        const w = row[k - r]!;
        if (w > 0) chances[at]! += Math.exp(own + Math.log(w)) / (t + 1);
      }
    }
  }
  return chances;
}

/** {@link majAtKs} for one k. */
export function majAtK(counts: readonly number[], right: number, k: number): number {
  return majAtKs(counts, right, [k])[0]!;
}
