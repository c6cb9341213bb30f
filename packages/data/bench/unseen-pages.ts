// The classifier on pages of sources that no seed has, by kind: `pnpm bench unseen-pages --sources folder [--set unseen]
// [--data folder] [--model file]`. `--sources` holds clones of the repositories that pages/blind.json names, at its commits;
// `--set unseen` takes those of pages/unseen.json, on which choices of seeds were compared. `--model` is a run's model, without
// which one is trained on the seeds alone by the settings of configs/data/mixed-pool.yaml.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { atLeast, type Bench, type BenchResult, describeMachine, NsaError } from "@nsa/core";
import { rankingQuality, scoresByKind } from "../src/corpus/loop/metrics.ts";
import { ShuffledLines } from "../src/corpus/loop/shuffle.ts";
import { readDocumentsRows } from "../src/corpus/readers/rows.ts";
import {
  CollapsedScorer,
  classifierLine,
  collapseFile,
  extractHtml,
  FastTextConfig,
  hasNative,
  LABEL_PREFIX,
  trainToFile,
} from "../src/index.ts";
import { neededFile } from "./support/corpus.ts";

interface Wanted {
  kind: string;
  wanted: boolean;
  most: number;
}
interface Sources {
  repositories: (Wanted & {
    name: string;
    repository: string;
    commit: string;
    under: string;
    ending: string;
    /** Files of that ending that are no pages of this kind: licences, macros. */
    without?: string[];
  })[];
  /** `together`: rows of one page, as a sheet of problems has several. */
  files: (Wanted & { path: string; field: string; together?: number })[];
}
interface Page {
  kind: string;
  wanted: boolean;
  title: string;
  text: string;
}

/** Shorter pages have too little text to be classified; longer ones are cut, as a crawler's are. */
const SHORTEST = 60;
const LONGEST = 20_000;
const SETTINGS = { dim: 32, bucket: 200_000, wordNgrams: 2, lr: 0.5, epoch: 10 };

const args = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]") as string[];
function argument(name: string): string | undefined {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? undefined : args[at + 1];
}

const SET = argument("set") === "unseen" ? "pages/unseen.json" : "pages/blind.json";

/** At most `most` of the items, evenly over all. */
const spread = <T>(items: readonly T[], most: number): T[] =>
  items.length <= most
    ? [...items]
    : Array.from({ length: most }, (_, i) => items[Math.floor((i * items.length) / most)]!);

function missing(what: string, fix: string): NsaError {
  const why = "this bench measures on pages that are not part of the repository";
  return new NsaError({ code: "data_missing", what, why, fix, exitCode: 4 });
}

function pagesOfRepository(folder: string, source: Sources["repositories"][number]): Page[] {
  const root = join(folder, source.name, source.under);
  if (!existsSync(root))
    throw missing(
      `no ${source.name}/${source.under} in ${folder}`,
      `clone https://github.com/${source.repository} there, at ${source.commit}; ${SET} lists all`,
    );
  const pages = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(source.ending) && !source.without?.includes(name))
    .sort()
    .map((name) => {
      const raw = readFileSync(join(root, name), "utf8");
      return { name, text: (name.endsWith(".html") ? extractHtml(raw).text : raw).slice(0, LONGEST) };
    })
    .filter(({ text }) => text.length >= SHORTEST)
    .map(({ name, text }) => ({
      kind: source.kind,
      wanted: source.wanted,
      title:
        /^#+ +(.+)$|\\(?:chapter|section)\{([^}]+)\}/m.exec(text)?.slice(1).find(Boolean) ??
        basename(relative(root, name)),
      text,
    }));
  return spread(pages, source.most);
}

async function pagesOfFile(source: Sources["files"][number]): Promise<Page[]> {
  const texts: string[] = [];
  for await (const row of readDocumentsRows(neededFile(source.path)))
    texts.push(String(row[source.field] ?? ""));
  const size = source.together ?? 1;
  const sheets = texts.flatMap((_, i) => (i % size === 0 ? [texts.slice(i, i + size).join("\n\n")] : []));
  const long = sheets.filter((text) => text.length >= SHORTEST).map((text) => text.slice(0, LONGEST));
  return spread(long, source.most).map((text) => ({
    kind: source.kind,
    wanted: source.wanted,
    title: "",
    text,
  }));
}

/** A model of the seeds alone, in the order in which the loop's step shuffles them. */
async function trainedOnSeeds(dir: string): Promise<string> {
  const settings = FastTextConfig.parse(SETTINGS);
  const lines = new ShuffledLines(join(dir, "unshuffled"));
  for (const [path, label] of [
    ["math-pages/pages.jsonl.gz", "math"],
    ["nonmath-pages/pages.jsonl.gz", "other"],
  ] as const)
    for await (const row of readDocumentsRows(neededFile(path)))
      lines.add(`${LABEL_PREFIX}${label} ${classifierLine(String(row.title ?? ""), String(row.text))}`);
  const [train, model] = [join(dir, "train.txt"), join(dir, "model.bin")];
  lines.writeShuffled(train, settings.seed);
  trainToFile(train, model, settings, hasNative() ? "native" : "typescript");
  return model;
}

async function run(): Promise<BenchResult> {
  const folder = argument("sources");
  if (!folder)
    throw missing("no folder of sources", `clone the repositories of ${SET} into one: --sources folder`);
  const sources = JSON.parse(readFileSync(join(import.meta.dirname, SET), "utf8")) as Sources;
  const pages = sources.repositories.flatMap((source) => pagesOfRepository(folder, source));
  for (const source of sources.files) pages.push(...(await pagesOfFile(source)));
  const dir = mkdtempSync(join(tmpdir(), "nsa-bench-unseen-"));
  try {
    const scorer = new CollapsedScorer(
      collapseFile(argument("model") ?? (await trainedOnSeeds(dir))),
      "math",
    );
    const scores = pages.map(({ title, text }) => scorer.score(classifierLine(title, text)));
    const wanted = pages.map((page) => page.wanted);
    const order = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);
    const { averagePrecision, rPrecision, positives } = rankingQuality(order.map((i) => wanted[i]!));
    const kinds = scoresByKind(
      scores,
      wanted,
      pages.map((page) => page.kind),
    );
    const figures: BenchResult["figures"] = {
      set: basename(SET, ".json"),
      pages: pages.length,
      wanted: positives,
      model: argument("model")?.split(/[\\/]/).slice(-2).join("/") ?? "seeds alone",
    };
    Object.assign(figures, { average_precision: averagePrecision, r_precision: rPrecision });
    // Each kind that is wanted alone against all pages that are not.
    const precisionOf = (kind: string) =>
      rankingQuality(order.filter((i) => !wanted[i] || pages[i]!.kind === kind).map((i) => wanted[i]!))
        .averagePrecision;
    for (const row of kinds)
      figures[`${row.wanted ? "wanted" : "other"}: ${row.kind}`] =
        `${row.documents} pages, median ${row.median.toFixed(3)}, ${(100 * row.overHalf).toFixed(0)} % from 0.5 up${row.wanted ? `, average precision ${precisionOf(row.kind).toFixed(3)}` : ""}`;
    return {
      name: "unseen-pages",
      machine: describeMachine(),
      figures,
      ratios: { average_precision: averagePrecision, r_precision: rPrecision },
      // Little below what was measured: these bars notice a loss, they were no goals.
      bars: [
        atLeast("pages", pages.length, 400),
        atLeast("average precision", averagePrecision, 0.96),
        atLeast("R-precision", rPrecision, 0.88),
      ],
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export default {
  name: "unseen-pages",
  about: "the classifier's ranking of pages of sources that no seed has, by kind of page",
  run,
} satisfies Bench;
