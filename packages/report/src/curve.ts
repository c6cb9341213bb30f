// A line chart as inline SVG.

export interface Series {
  name: string;
  points: { x: number; y: number }[];
}

export const COLOURS = [
  "#2458b8",
  "#c2571a",
  "#2e7d4f",
  "#8a3fa0",
  "#a8761b",
  "#b0305c",
  "#4a7a8c",
  "#6b6b6b",
];
const [W, H, LEFT, BOTTOM, TOP] = [460, 240, 52, 26, 34];

const label = (v: number) => Number(v.toPrecision(3)).toString();

/** Marks for an axis that counts doublings: K = 1, 2, 4 … */
export function powersOfTwo(series: readonly Series[]): { x: number; label: string }[] {
  const top = Math.max(0, ...series.flatMap((s) => s.points.map((p) => p.x)));
  return Array.from({ length: Math.floor(top) + 1 }, (_, x) => ({ x, label: String(2 ** x) }));
}

export interface CurveOptions {
  /** Marks on the x axis instead of its ends. */
  marks?: readonly { x: number; label: string }[];
  /** Lowest and highest y instead of the data's. */
  range?: readonly [number, number];
}

/** Names for the legend: of many series of one kind (`reward/…`) what tells them apart. */
function legend(series: readonly Series[]): string[] {
  const kind = series[0]!.name.slice(0, series[0]!.name.lastIndexOf("/") + 1);
  const shared = series.length > 2 && series.every((s) => s.name.startsWith(kind));
  return series.map((s) => (shared ? s.name.slice(kind.length) : s.name));
}

/** The chart, or nothing when no series has two points. */
export function curve(title: string, all: readonly Series[], options: CurveOptions = {}): string {
  const { marks, range } = options;
  const series = all.filter((s) => s.points.length > 1);
  if (series.length === 0) return "";
  const xs = series.flatMap((s) => s.points.map((p) => p.x));
  const ys = series.flatMap((s) => s.points.map((p) => p.y));
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [y0, y1] = range ?? [Math.min(...ys), Math.max(...ys)];
  const px = (x: number) => LEFT + ((x - x0) / (x1 - x0 || 1)) * (W - LEFT - 10);
  const py = (y: number) => H - BOTTOM - ((y - y0) / (y1 - y0 || 1)) * (H - BOTTOM - TOP);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((f) => {
    const y = y0 + f * (y1 - y0);
    return `<line x1="${LEFT}" x2="${W - 10}" y1="${py(y)}" y2="${py(y)}" stroke="#e4e4e0"/><text x="${LEFT - 6}" y="${py(y) + 4}" text-anchor="end">${label(y)}</text>`;
  });
  const names = legend(series);
  // About the width of the names; closer together where they would leave the chart.
  const widths = names.map((name) => 14 + 5.2 * name.length);
  const squeeze = Math.min(1, (W - LEFT) / widths.reduce((a, b) => a + b, 0));
  const lines = series.map((s, i) => {
    const path = s.points
      .map((p, n) => `${n ? "L" : "M"}${px(p.x).toFixed(1)},${py(p.y).toFixed(1)}`)
      .join("");
    const colour = COLOURS[i % COLOURS.length];
    const at = (LEFT + squeeze * widths.slice(0, i).reduce((a, b) => a + b, 0)).toFixed(1);
    return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/><text x="${at}" y="28" fill="${colour}">${names[i]}</text>`;
  });
  const ends = [
    { x: x0, label: label(x0) },
    { x: x1, label: label(x1) },
  ];
  const axis = (marks ?? ends).map(({ x, label: text }, i, shown) => {
    const anchor = i === 0 ? "start" : i === shown.length - 1 ? "end" : "middle";
    return `<text x="${px(x).toFixed(1)}" y="${H - 8}" text-anchor="${anchor}">${text}</text>`;
  });
  return `<svg viewBox="0 0 ${W} ${H}" font-size="10" font-family="sans-serif"><text x="${LEFT}" y="13" font-size="12" font-weight="600">${title}</text>${ticks.join("")}${axis.join("")}${lines.join("")}</svg>`;
}
