// A line plot in braille characters: each holds two by four dots.

export interface Point {
  x: number;
  y: number;
}

export interface Plot {
  /** One string of `columns` characters per row, top first. */
  lines: string[];
  low: number;
  high: number;
}

/** Dot bits of a braille character by column, then row from the top. */
const BITS = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
];

/** Mean y of the points in each of `n` equal parts of [x0, x1]; gaps are bridged by straight lines. */
function resample(points: readonly Point[], n: number): number[] {
  const [x0, x1] = [points[0]!.x, points.at(-1)!.x];
  const sums = new Float64Array(n);
  const counts = new Float64Array(n);
  for (const { x, y } of points) {
    const i = x1 === x0 ? 0 : Math.min(n - 1, Math.floor(((x - x0) / (x1 - x0)) * n));
    sums[i]! += y;
    counts[i]! += 1;
  }
  const ys = Array.from(sums, (sum, i) => sum / counts[i]!);
  let before = 0;
  for (let i = 1; i < n; i++) {
    if (counts[i] === 0) continue;
    const slope = (ys[i]! - ys[before]!) / (i - before);
    for (let k = before + 1; k < i; k++) ys[k] = ys[before]! + slope * (k - before);
    before = i;
  }
  return ys.map((y) => (Number.isNaN(y) ? ys[before]! : y));
}

/**
 * Draws finite points in order of x; fewer than two give undefined. Neighbouring columns are joined by a
 * vertical stroke, so that the curve has no holes.
 */
export function braillePlot(points: readonly Point[], columns: number, rows: number): Plot | undefined {
  const finite = points.filter((p) => Number.isFinite(p.y));
  if (finite.length < 2) return undefined;
  const ys = resample(finite, columns * 2);
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const dots = rows * 4 - 1;
  const height = (y: number) => (high === low ? dots >> 1 : Math.round(((high - y) / (high - low)) * dots));
  const cells = Array.from({ length: rows }, () => new Uint8Array(columns));
  let before = height(ys[0]!);
  for (const [i, y] of ys.entries()) {
    const here = height(y);
    for (let r = Math.min(before, here); r <= Math.max(before, here); r++)
      cells[r >> 2]![i >> 1]! |= BITS[i & 1]![r & 3]!;
    before = here;
  }
  return {
    lines: cells.map((row) => Array.from(row, (c) => String.fromCharCode(0x2800 + c)).join("")),
    low,
    high,
  };
}
