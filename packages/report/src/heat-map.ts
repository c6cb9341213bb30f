// A grid of values as inline SVG, darker where larger.

export interface HeatMap {
  title: string;
  /** Labels of the columns and rows; values are [column][row]. */
  columns: readonly string[];
  rows: readonly string[];
  values: readonly (readonly number[])[];
  columnTitle: string;
  rowTitle: string;
}

const [CELL_W, CELL_H, LEFT, TOP, BOTTOM] = [64, 28, 74, 28, 40];
const [LOW, HIGH] = [
  [247, 243, 232],
  [36, 88, 184],
];

const colour = (f: number) => `rgb(${LOW!.map((c, i) => Math.round(c + f * (HIGH![i]! - c))).join(",")})`;
const label = (v: number) => Number(v.toPrecision(3)).toString();

/** The heat map; shares (all values in 0 … 1) keep that range, others take their own. */
export function heatMap(map: HeatMap): string {
  const all = map.values.flat();
  if (all.length === 0) return "";
  const isShare = all.every((v) => v >= 0 && v <= 1);
  const [low, high] = isShare ? [0, 1] : [Math.min(...all), Math.max(...all)];
  const [w, h] = [LEFT + map.columns.length * CELL_W + 10, TOP + map.rows.length * CELL_H + BOTTOM];
  const cells = map.values.flatMap((column, c) =>
    column.map((value, r) => {
      const f = (value - low) / (high - low || 1);
      const [x, y] = [LEFT + c * CELL_W, TOP + r * CELL_H];
      const ink = f > 0.55 ? "#fff" : "#222";
      return `<rect x="${x}" y="${y}" width="${CELL_W - 2}" height="${CELL_H - 2}" fill="${colour(f)}"/><text x="${x + CELL_W / 2 - 1}" y="${y + CELL_H / 2 + 3}" text-anchor="middle" fill="${ink}">${label(value)}</text>`;
    }),
  );
  const columns = map.columns.map(
    (name, c) =>
      `<text x="${LEFT + (c + 0.5) * CELL_W}" y="${h - BOTTOM + 14}" text-anchor="middle">${name}</text>`,
  );
  const rows = map.rows.map(
    (name, r) => `<text x="${LEFT - 6}" y="${TOP + (r + 0.5) * CELL_H + 3}" text-anchor="end">${name}</text>`,
  );
  return `<svg viewBox="0 0 ${w} ${h}" font-size="10" font-family="sans-serif"><text x="4" y="13" font-size="12" font-weight="600">${map.title}</text>${cells.join("")}${columns.join("")}${rows.join("")}<text x="${LEFT}" y="${h - 8}">${map.columnTitle}</text><text x="4" y="${TOP - 4}">${map.rowTitle}</text></svg>`;
}
