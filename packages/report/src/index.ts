// Public surface of @nsa/report: pages, tables and charts as strings. It knows nothing of runs.
export { type Bar, bars } from "./bars.ts";
export { COLOURS, curve, powersOfTwo, type Series } from "./curve.ts";
export { count, escapeHtml, percent } from "./escape.ts";
export { type HeatMap, heatMap } from "./heat-map.ts";
export { scoreHistogram } from "./histogram.ts";
export { page } from "./page.ts";
export { type Cell, table } from "./table.ts";
