// `node scripts/results-nsa.mjs benchmarks/<date>-nsa-learning-*.json`: writes docs/results/nsa.md from what benches wrote.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib.mjs";

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("name the JSON files that `pnpm bench nsa-learning --out file` wrote: one, or one a part");
  process.exit(2);
}
const results = files.map((file) => JSON.parse(readFileSync(file, "utf8")));
const curves = results.flatMap((r) => r.curves);
const { chance } = results[0].figures;
const machine = [...new Set(results.map((r) => r.machine))].join("; ");
// A bar belongs to the file that measured it.
const bars = results[0].bars.map(
  (bar) => results.flatMap((r) => r.bars).find((b) => b.what === bar.what && b.value !== null) ?? bar,
);
const kinds = ["nsa", "full", "window"];
const of = (part, kind) => curves.filter((c) => c.part === part && c.kind === kind);
const mean = (x) => x.reduce((a, b) => a + b, 0) / x.length;
const percent = (x) => `${(100 * x).toFixed(1)} %`;
const table = (head, rows) =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");

function curveTable(kind) {
  const runs = of("text", kind);
  const rows = runs[0].points.map((p, i) => [
    (p.tokens / 1e6).toFixed(2),
    (p.flops / 1e12).toFixed(1),
    mean(runs.map((r) => r.points[i].seconds)).toFixed(1),
    ...runs.map((r) => r.points[i].value.toFixed(4)),
    mean(runs.map((r) => r.points[i].value)).toFixed(4),
  ]);
  return table(["M tokens", "TFLOP", "seconds", ...runs.map((r) => `seed ${r.seed}`), "mean"], rows);
}

const sections = [
  "# Does NSA learn what full attention learns?",
  `Written by \`node scripts/results-nsa.mjs ${files.join(" ")}\` from\n\n\`\`\`sh\n${results.map((r) => r.command).join("\n")}\n\`\`\`\n\nMachine: ${machine}.`,
  `## Bars\n\n${table(
    ["what", "value", "bar", ""],
    bars.map((b) => [b.what, b.value?.toFixed(4) ?? "not run", b.bar, b.pass ? "holds" : "**falls short**"]),
  )}`,
];
if (kinds.some((k) => of("recall", k).length)) {
  const rows = kinds.flatMap((kind) =>
    of("recall", kind).map((c) => {
      const last = c.points.at(-1);
      return [
        kind,
        c.seed,
        (last.tokens / 1e6).toFixed(1),
        (last.flops / 1e12).toFixed(1),
        last.seconds.toFixed(0),
        percent(c.readShare),
        last.value.toFixed(4),
        ...["slc", "cmp", "win"].map((branch) => c.muted?.[branch].toFixed(4) ?? ""),
      ];
    }),
  );
  const closed = ["selection", "compression", "window"].map((branch) => `${branch} gate zero`);
  const head = ["attention", "seed", "M tokens", "TFLOP", "seconds", "reads", "answered", ...closed];
  sections.push(
    `## Recall beyond twice the window\n\nFacts, a key and its value in one token each, stand among filler in the first half of a document; the second half asks for\nthem. \`packages/train/bench/support/learning.ts\` has the sizes and the stages of training. Share of questions answered whose fact lies further than 2w back; chance is ${chance.toFixed(4)}.\n"Reads": keys that a query reads over those it sees.\n\n${table(head, rows)}`,
  );
}
const overlaps = curves.filter((c) => c.overlap);
if (overlaps.length > 0) {
  const rows = overlaps.map((c) => [
    c.part,
    c.seed,
    ...["common", "union", "chosenCommon", "chosenUnion"].map((name) => percent(c.overlap[name])),
  ]);
  const head = ["part", "seed", "in common", "union", "chosen in common", "chosen union"];
  sections.push(
    `## Blocks that ${overlaps[0].overlap.tile} neighbouring queries share\n\nWhat all of them read, over what one reads; and what any reads, over the sum of what each reads (25 % when all agree).\n"Chosen" leaves out forced blocks. Queries that have a choice, all layers and KV heads of the trained NSA models.\n\n${table(head, rows)}`,
  );
}
for (const kind of kinds.filter((k) => of("text", k).length)) {
  const [{ readShare, trainedReadShare }] = of("text", kind);
  sections.push(
    `## Text, ${kind} attention\n\nValidation loss, nats per token. A query reads ${percent(readShare)} of what it sees in a document of the longest length, ${percent(trainedReadShare)} over the documents trained on.\n\n${curveTable(kind)}`,
  );
}
mkdirSync(join(root, "docs/results"), { recursive: true });
writeFileSync(join(root, "docs/results/nsa.md"), `${sections.join("\n\n")}\n`);
