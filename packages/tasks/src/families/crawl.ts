// The `crawl` stage: synthetic web pages to collect from, some with solved problems, and what a pipeline needs beside them.
import { join } from "node:path";
import { atomicWriteFile, defineStage, outputsNamed, type StageRunner } from "@nsa/core";
import { type Choices, choices, mathParagraph, writeCrawl } from "@nsa/data";
import { z } from "zod";
import type { Problem, Working } from "./definition.ts";
import { type Family, makeFamily } from "./family.ts";

const share = z.number().min(0).max(1);

export const crawlSchema = z.strictObject({
  name: z.string().default("crawl").describe("Part of the run folder's name"),
  seed: z.int().min(0).default(1).describe("Of the pages"),
  pages: z
    .int()
    .min(1)
    .default(1000)
    .describe("Pages of the pool; the seeds are a quarter as many of each class"),
  mathShare: share.default(0.5).describe("Share of pages about mathematics"),
  format: z.enum(["text", "html"]).default("html").describe("html: raw pages, to be extracted"),
  solutions: z
    .strictObject({
      share: share.default(0.5).describe("Share of the paragraphs of math pages that are a solved problem"),
      family: z.string().default("addition").describe("Problem family"),
      difficulty: z.int().min(1).default(2).describe("Of the family"),
      rightShare: share.default(0.5).describe("Share of the solutions that are right"),
      slipShare: share
        .default(0.3)
        .describe("Share that is careless (sums forget every carry); the others end anywhere"),
      examples: z
        .int()
        .min(0)
        .default(0)
        .describe("Solutions by the same people for fine-tuning, in a file of their own"),
    })
    .prefault({})
    .describe("Solved problems; none is of the held-out split"),
});

type CrawlConfig = z.output<typeof crawlSchema>;

/** Numbers of the examples' problems, far from those of the pages; both are drawn from one small family. */
const FIRST_EXAMPLE = 2 ** 24;

/** A solution as people write it. */
function solution(family: Family, problem: Problem, c: Choices, shares: CrawlConfig["solutions"]): Working {
  const fate = c.next();
  const int = (n: number) => c.int(0, n - 1);
  const slip = fate >= shares.rightShare && fate < shares.rightShare + shares.slipShare;
  const { text, answer } = family.working(problem, int, slip);
  return { text, answer: slip || fate < shares.rightShare ? answer : String(int(10 ** answer.length)) };
}

/** Outputs `pool`, `positives`, `negatives`, `labels`, `benchmark` (for `nsa data build`) and `examples` (for `nsa sft`). */
export const runCrawl: StageRunner<CrawlConfig> = async (config, context) => {
  context.emit({ type: "start", totalSteps: 1, step: 0 });
  const { solutions, seed, pages, mathShare, format } = config;
  const family = makeFamily(solutions.family, { ...solutions, seed, split: "train" });
  let made = 0;
  const files = writeCrawl(join(context.runDir, "crawl"), {
    pages,
    seed,
    mathShare,
    format,
    mathParagraph: (c) => {
      if (c.next() >= solutions.share) return mathParagraph(c);
      const problem = family.problem(made++);
      const { text, answer } = solution(family, problem, c, solutions);
      return `${problem.question}: ${text} so ${answer}`;
    },
  });
  const examples = join(context.runDir, "crawl", "examples.jsonl");
  const c = choices(seed + FIRST_EXAMPLE);
  const rows = Array.from({ length: solutions.examples }, (_, i) => {
    const problem = family.problem(FIRST_EXAMPLE + i);
    const { text, answer } = solution(family, problem, c, solutions);
    return { question: problem.question, working: text, answer };
  });
  atomicWriteFile(examples, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const metrics = { "crawl/pages": pages, "crawl/solutions": made, "crawl/examples": solutions.examples };
  context.emit({ type: "step", step: 1, totalSteps: 1, metrics });
  context.emit({ type: "done", step: 1, metrics });
  return { status: "completed", step: 1, metrics, outputs: { ...files, examples } };
};

export const crawlStage = defineStage({
  name: "crawl",
  about: "generate web pages with solved problems, and what a pipeline needs beside them",
  schema: crawlSchema,
  run: runCrawl,
  estimate: ({ pages }) => ({ pages }),
  plannedOutputs: outputsNamed("pool", "positives", "negatives", "labels", "benchmark", "examples"),
  overview: { result: "{crawl/pages:count} pages" },
});
