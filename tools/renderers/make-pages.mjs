// Makes the pages of `pnpm bench extract`: every markup of markups.mjs around every formula of formulas.mjs, gzipped JSON
// lines. Run with `npm ci --prefix tools/renderers && node tools/renderers/make-pages.mjs`.
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { codeMarkups, codes } from "./codes.mjs";
import { formulas } from "./formulas.mjs";
import { markups } from "./markups.mjs";

const words =
  "This page is about numbers and how they are added, and it has enough words of its own to count as an article. ";

/** The paragraph around a formula; the bench looks between the marks. */
const paragraph = (html, i, block) =>
  block
    ? `<p>Here begins K${i}Q and a formula stands alone:</p>\n${html}\n<p>There ended Q${i}K with some more words after it.</p>`
    : `<p>Here begins K${i}Q ${html} and there ended Q${i}K with some more words after it.</p>`;

const around = (name, body) =>
  `<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>${name}</title></head><body><nav><a href="/">Home</a></nav><article><h1>Numbers</h1><p>${words.repeat(4)}</p>\n${body}\n<p>${words.repeat(2)}</p></article><footer>Imprint</footer></body></html>`;
function write(name, rows) {
  const out = new URL(`../../packages/data/bench/pages/${name}.jsonl.gz`, import.meta.url);
  writeFileSync(out, gzipSync(`${rows.map((r) => JSON.stringify(r)).join("\n")}\n`, { level: 9 }));
}

const rows = [];
for (const { name, source, display = false, block = false, make } of markups) {
  const parts = [];
  for (const [i, tex] of formulas.entries()) parts.push(paragraph(await make(tex, i), i, block));
  rows.push({ markup: name, source, display, html: around(name, parts.join("\n")) });
}
write("formulas", rows);
write(
  "code",
  codeMarkups.map(({ name, make, expected }) => ({
    markup: name,
    code: expected,
    html: around(
      name,
      codes.map((c, i) => `<p>Program ${i} is</p>${make(c)}<p>and that was program ${i}.</p>`).join("\n"),
    ),
  })),
);
console.log(
  `${rows.length} markups × ${formulas.length} formulas, ${codeMarkups.length} × ${codes.length} of code`,
);
process.exit(0);
