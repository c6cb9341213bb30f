// Horizontal bars as inline SVG: a funnel of documents, accuracies with their intervals.
import { escapeHtml } from "./escape.ts";

export interface Bar {
  label: string;
  value: number;
  /** Written behind the bar. */
  text: string;
  /** 95 % interval, drawn as a whisker. */
  low?: number;
  high?: number;
  colour?: string;
}

const [W, ROW, LEFT, RIGHT] = [920, 30, 130, 330];

/** One bar a row; `top` is the value of a full bar, the largest by default. */
export function bars(rows: readonly Bar[], top = Math.max(...rows.map((r) => r.value))): string {
  if (rows.length === 0) return "";
  const width = (value: number) => (Math.max(0, value) / (top || 1)) * (W - LEFT - RIGHT);
  const drawn = rows.map((row, i) => {
    const y = i * ROW;
    const middle = y + ROW / 2;
    const parts = [
      `<text x="${LEFT - 10}" y="${middle + 4}" text-anchor="end" fill="#333">${escapeHtml(row.label)}</text>`,
      `<rect x="${LEFT}" y="${y + 5}" width="${W - LEFT - RIGHT}" height="${ROW - 10}" rx="3" fill="#f1f1ed"/>`,
      `<rect x="${LEFT}" y="${y + 5}" width="${width(row.value).toFixed(1)}" height="${ROW - 10}" rx="3" fill="${row.colour ?? "#2458b8"}"/>`,
      `<text x="${W - RIGHT + 14}" y="${middle + 4}" fill="#333">${escapeHtml(row.text)}</text>`,
    ];
    if (row.low !== undefined && row.high !== undefined) {
      const [a, b] = [LEFT + width(row.low), LEFT + width(row.high)].map((x) => x.toFixed(1));
      parts.push(
        `<path d="M${a},${middle}H${b}M${a},${middle - 4}V${middle + 4}M${b},${middle - 4}V${middle + 4}" stroke="#111" stroke-width="1.2" fill="none"/>`,
      );
    }
    return parts.join("");
  });
  return `<svg viewBox="0 0 ${W} ${rows.length * ROW}" font-size="13" font-family="system-ui,sans-serif" role="img">${drawn.join("")}</svg>`;
}
