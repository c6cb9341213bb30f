// A histogram as inline SVG, with a line where a threshold cuts it.
import { count } from "./escape.ts";

/** Bars of the square roots, so that the sparse middle of the scores stays visible; the cut is a line. */
export function scoreHistogram(bins: readonly number[], threshold?: number): string {
  const [width, height] = [640, 140];
  const top = Math.sqrt(Math.max(1, ...bins));
  const step = width / bins.length;
  const bars = bins.map((n, i) => {
    const h = (Math.sqrt(n) / top) * height;
    const label = `${(i / bins.length).toFixed(2)} to ${((i + 1) / bins.length).toFixed(2)}: ${count(n)}`;
    return `<rect x="${(i * step).toFixed(1)}" y="${(height - h).toFixed(1)}" width="${(step - 1).toFixed(1)}" height="${h.toFixed(1)}" fill="#4a7ebb"><title>${label}</title></rect>`;
  });
  const at = (Math.min(1, threshold ?? 0) * width).toFixed(1);
  const cut =
    threshold === undefined
      ? ""
      : `<line x1="${at}" x2="${at}" y1="0" y2="${height}" stroke="#b00" stroke-dasharray="4 3"/>`;
  const legend = threshold === undefined ? "√ of pages" : `√ of pages; red: cut at ${threshold.toFixed(3)}`;
  return `<svg viewBox="0 0 ${width} ${height + 18}" width="${width}" role="img" aria-label="score histogram">${bars.join("")}${cut}<text x="0" y="${height + 14}" font-size="12">0</text><text x="${width}" y="${height + 14}" font-size="12" text-anchor="end">score 1 (${legend})</text></svg>`;
}
