// NSA written once more from the paper in plain TypeScript, O(T²) with masks, sharing no code with the package.
//
// Legend: T tokens, H query heads, G KV heads, K and V head dims, l/d/lp = block_size/stride/selection_block_size.

export interface NaiveConfig {
  H: number;
  G: number;
  K: number;
  V: number;
  l: number;
  d: number;
  lp: number;
  n: number;
  w: number;
}

export type NaivePhi =
  | { kind: "mean" }
  | { kind: "weighted"; weight: number[] }
  | { kind: "mlp"; pos: number[]; up: number[]; down: number[]; hidden: number };

export interface NaiveInputs {
  q: number[];
  kCmp: number[];
  vCmp: number[];
  kSlc: number[];
  vSlc: number[];
  kWin: number[];
  vWin: number[];
  gate: number[];
  phiK: NaivePhi;
  phiV: NaivePhi;
  /** Angle per position of channel pair j is position·theta[j]. */
  theta: number[];
}

const silu = (x: number) => x / (1 + Math.exp(-x));

function phi(block: number[][], f: NaivePhi): number[] {
  const C = block[0]!.length;
  if (f.kind === "mean")
    return block[0]!.map((_, c) => block.reduce((s, row) => s + row[c]!, 0) / block.length);
  if (f.kind === "weighted")
    return block[0]!.map((_, c) => block.reduce((s, row, j) => s + f.weight[j]! * row[c]!, 0));
  const flat = block.flatMap((row, j) => row.map((x, c) => x + f.pos[j * C + c]!));
  const hidden = Array.from({ length: f.hidden }, (_, i) =>
    silu(flat.reduce((s, x, c) => s + f.up[i * flat.length + c]! * x, 0)),
  );
  return Array.from({ length: C }, (_, c) =>
    hidden.reduce((s, x, i) => s + f.down[c * f.hidden + i]! * x, 0),
  );
}

function rotate(x: number[], position: number, theta: number[]): number[] {
  const y = [...x];
  const half = theta.length;
  for (let j = 0; j < half; j++) {
    const [cos, sin] = [Math.cos(position * theta[j]!), Math.sin(position * theta[j]!)];
    y[j] = x[j]! * cos - x[j + half]! * sin;
    y[j + half] = x[j + half]! * cos + x[j]! * sin;
  }
  return y;
}

function attend(q: number[], keys: number[][], values: number[][], allowed: boolean[], V: number) {
  const s = keys.map((k) => k.reduce((sum, x, c) => sum + x * q[c]!, 0) / Math.sqrt(q.length));
  const top = Math.max(...s.filter((_, i) => allowed[i]));
  const e = s.map((x, i) => (allowed[i] ? Math.exp(x - top) : 0));
  const total = e.reduce((a, b) => a + b, 0);
  const p = e.map((x) => (total > 0 ? x / total : 0));
  return {
    p,
    o: Array.from({ length: V }, (_, c) => p.reduce((sum, x, i) => sum + x * (values[i]?.[c] ?? 0), 0)),
  };
}

/** NSA of one document (local token 0 = first row). Returns o [T·H·V], the selected blocks and block scores [T][G]. */
export function naiveNsa(x: NaiveInputs, T: number, c: NaiveConfig, frozen?: number[][][]) {
  const rows = (a: number[], heads: number, dim: number, h: number) =>
    Array.from({ length: T }, (_, t) => a.slice((t * heads + h) * dim, (t * heads + h + 1) * dim));
  const o = new Array<number>(T * c.H * c.V).fill(0);
  const selected: number[][][] = Array.from({ length: T }, () => []);
  const scores: number[][][] = Array.from({ length: T }, () => []);
  const group = c.H / c.G;
  for (let g = 0; g < c.G; g++) {
    const [kc, vc] = [rows(x.kCmp, c.G, c.K, g), rows(x.vCmp, c.G, c.V, g)];
    const [ks, vs] = [rows(x.kSlc, c.G, c.K, g), rows(x.vSlc, c.G, c.V, g)];
    const [kw, vw] = [rows(x.kWin, c.G, c.K, g), rows(x.vWin, c.G, c.V, g)];
    const starts: number[] = [];
    for (let i = 0; i * c.d + c.l <= T; i++) starts.push(i * c.d);
    const kBlocks = starts.map((s) => rotate(phi(kc.slice(s, s + c.l), x.phiK), s, x.theta));
    const vBlocks = starts.map((s) => phi(vc.slice(s, s + c.l), x.phiV));
    for (let t = 0; t < T; t++) {
      const heads = Array.from({ length: group }, (_, i) => g * group + i);
      const query = (h: number) => x.q.slice((t * c.H + h) * c.K, (t * c.H + h + 1) * c.K);
      const cmp = heads.map((h) =>
        attend(
          query(h),
          kBlocks,
          vBlocks,
          starts.map((s) => s + c.l - 1 <= t),
          c.V,
        ),
      );
      // Score of a selection block: each compressed block counts once per stride that it shares with the block.
      const here = Math.floor(t / c.lp);
      const score = Array.from({ length: here + 1 }, (_, J) =>
        starts.reduce((sum, s, i) => {
          const overlap = Math.max(0, Math.min(s + c.l, (J + 1) * c.lp) - Math.max(s, J * c.lp));
          return sum + (overlap / c.d) * cmp.reduce((a, head) => a + head.p[i]!, 0);
        }, 0),
      );
      const forced = new Set([0, here, Math.max(0, here - 1)]);
      const free = score.map((_, J) => J).filter((J) => !forced.has(J));
      free.sort((a, b) => score[b]! - score[a]! || a - b);
      const chosen = frozen
        ? frozen[t]![g]!
        : [...forced, ...free.slice(0, c.n - forced.size)].sort((a, b) => a - b);
      selected[t]!.push(chosen);
      scores[t]!.push(score);
      heads.forEach((h, i) => {
        const inBlocks = ks.map((_, j) => j <= t && chosen.includes(Math.floor(j / c.lp)));
        const slc = attend(query(h), ks, vs, inBlocks, c.V);
        const win = attend(
          query(h),
          kw,
          vw,
          kw.map((_, j) => j <= t && j > t - c.w),
          c.V,
        );
        [cmp[i]!.o, slc.o, win.o].forEach((branch, b) => {
          const gate = 1 / (1 + Math.exp(-x.gate[(t * c.H + h) * 3 + b]!));
          for (let v = 0; v < c.V; v++) o[(t * c.H + h) * c.V + v]! += gate * branch[v]!;
        });
      });
    }
  }
  return { o, selected, scores };
}
