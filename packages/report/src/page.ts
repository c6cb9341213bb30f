// The page around the body of a report: self-contained, no script, nothing fetched.
import { escapeHtml } from "./escape.ts";

const STYLE = `
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222}
h2{margin:2.2rem 0 .6rem;font-size:1.25rem}h3{margin:1.2rem 0 .4rem;font-size:1rem}.note{color:#666;margin:.2rem 0 1rem}a{color:#2458b8}
pre{background:#f6f6f4;padding:.5rem;overflow:auto;white-space:pre-wrap;margin:0}
table{border-collapse:collapse;width:100%;margin:.6rem 0}td,th{border-bottom:1px solid #ddd;padding:.3rem;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}.kept{color:#06633a}.dropped{color:#8a1c1c}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(460px,1fr));gap:1rem}svg{width:100%;max-width:960px;height:auto}
`;

/** A whole HTML document; `title` is text, `body` is HTML. */
export function page(title: string, body: string): string {
  const text = escapeHtml(title);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${text}</title><style>${STYLE}</style></head><body>
<h1>${text}</h1>
${body}
</body></html>
`;
}
