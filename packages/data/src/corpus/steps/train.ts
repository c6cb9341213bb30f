// Step `train`: seeds, and pages under accepted URL paths, to a fastText model.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { FastTextConfig } from "../fasttext/args.ts";
import { LABEL_PREFIX } from "../fasttext/dictionary.ts";
import { type Engine, resolveEngine, trainToFile } from "../fasttext/engine.ts";
import type { JobContext } from "../jobs/stage.ts";
import { annotationMatcher, readAnnotations } from "../loop/annotations.ts";
import type { BuildConfig } from "../loop/config.ts";
import { ShuffledLines } from "../loop/shuffle.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { withoutFormulas } from "../text/formulas.ts";
import { classifierLine } from "../text/lines.ts";
import type { CleanShard } from "./clean.ts";
import { defineStep, runStep, type Stats, type StepIo } from "./step.ts";

const count = () => z.number().int().min(0);

const spec = z.strictObject({
  fasttext: FastTextConfig,
  positiveLabel: z.string().describe("Name of the wanted class."),
  refusedAsNegatives: z.boolean().describe("Pages under refused paths become negatives."),
  withoutFormulas: z
    .number()
    .optional()
    .describe("Share of the positive seeds that is taken a second time without formulas."),
  positives: count().describe("Inputs that are positive seed shards."),
  negatives: count().describe("Inputs that are negative seed shards."),
  pool: count().describe("Inputs that are pool shards; 0 without annotations."),
  rounds: count().describe(
    "Earlier rounds, each with a collected column per pool shard and an annotation file.",
  ),
});

/** Seed shards. */
export interface Seeds {
  positives: string[];
  negatives: string[];
}

/** What the rounds so far leave to the next: collected columns and annotation files, one of each a round. */
export interface History {
  columns: string[][];
  annotations: string[];
}

interface Plan {
  config: Pick<BuildConfig, "fasttext" | "positiveLabel" | "loop">;
  folder: string;
  seeds: Seeds;
  pool: CleanShard[];
  history: History;
}

export const trainStep = defineStep({
  kind: "train",
  spec,
  plan: ({ config, folder, seeds, pool, history: { columns, annotations } }: Plan) => {
    const documents = annotations.length > 0 ? pool.map((s) => s.documents) : [];
    return [
      {
        name: folder,
        spec: {
          fasttext: { ...config.fasttext, engine: resolveEngine(config.fasttext.engine) },
          positiveLabel: config.positiveLabel,
          refusedAsNegatives: config.loop.refusedAsNegatives,
          // Absent at 0, so that models of runs before the setting keep their names.
          ...(config.loop.withoutFormulas > 0 ? { withoutFormulas: config.loop.withoutFormulas } : {}),
          positives: seeds.positives.length,
          negatives: seeds.negatives.length,
          pool: documents.length,
          rounds: annotations.length,
        },
        inputs: [...seeds.positives, ...seeds.negatives, ...documents, ...columns.flat(), ...annotations],
        outputs: [`${folder}/model.bin`, `${folder}/training.json`],
      },
    ];
  },
  run: trainClassifier,
});

/**
 * Inputs: positive seed shards, negative seed shards, pool shards, then for each earlier round the collected column of
 * every pool shard, then the rounds' annotation files. A page joins the positives for good when some round's annotation
 * accepts its path and that round had not collected it. Outputs: [model.bin, training.json].
 */
async function trainClassifier(io: StepIo<z.infer<typeof spec>>): Promise<Stats> {
  const { fasttext, positiveLabel: label, positives, negatives, pool, rounds } = io.spec;
  const inputs = [...io.inputs];
  const positiveFiles = inputs.splice(0, positives);
  const negativeFiles = inputs.splice(0, negatives);
  const poolFiles = inputs.splice(0, pool);
  const columns = Array.from({ length: rounds }, () => inputs.splice(0, pool));
  const lines = new ShuffledLines(`${io.outputs[0]}.unshuffled`);
  const take = (d: Document, name: string) =>
    lines.add(`${LABEL_PREFIX}${name} ${classifierLine(d.title, d.text)}`);
  const share = io.spec.withoutFormulas ?? 0;
  for (const path of positiveFiles)
    forEachJson<Document>(path, (d, i) => {
      take(d, label);
      // Evenly over the seeds: each time the share of those so far passes the next whole number.
      if (Math.floor((i + 1) * share) > Math.floor(i * share)) {
        const words = withoutFormulas(d.text);
        if (words !== d.text) take({ ...d, text: words }, label);
      }
    });
  const seedPositives = lines.count;
  for (const path of negativeFiles) forEachJson<Document>(path, (d) => take(d, "other"));
  const seedNegatives = lines.count - seedPositives;
  let added = 0;
  let refused = 0;
  let unmatched: string[] = [];
  if (rounds > 0) {
    const matchers = inputs.map((path) => annotationMatcher(readAnnotations(path)));
    poolFiles.forEach((path, s) => {
      const collected = columns.map((round) => readFileSync(round[s]!));
      forEachJson<Document>(path, (d, i) => {
        const verdicts = matchers.map((verdict) => verdict(d.url, d.domain));
        if (verdicts.some((v, r) => v === true && collected[r]![i] !== 1)) {
          take(d, label);
          added++;
        } else if (verdicts.at(-1) === false && io.spec.refusedAsNegatives) {
          take(d, "other");
          refused++;
        }
      });
    });
    unmatched = [...new Set(matchers.flatMap((m) => m.unmatched()))];
  }
  const text = `${io.outputs[0]}.txt`;
  lines.writeShuffled(text, fasttext.seed);
  const trained = trainToFile(text, io.outputs[0]!, fasttext, fasttext.engine as Engine);
  rmSync(text);
  const stats = {
    seed_positives: seedPositives,
    seed_negatives: seedNegatives,
    added_positives: added,
    added_negatives: refused,
    words: trained.words,
    training_tokens: trained.tokens,
    loss: trained.loss,
    ...(unmatched.length > 0 ? { unmatched_paths: unmatched } : {}),
  };
  writeFileSync(io.outputs[1]!, `${JSON.stringify(stats)}\n`);
  return stats;
}

/** The round's classifier: trained, or in the first round the given one. */
export async function trainRound(
  job: JobContext,
  config: BuildConfig,
  seeds: Seeds,
  round: number,
  pool: CleanShard[],
  history: History,
): Promise<{ model: string; stats: Stats }> {
  const folder = `round-${round}`;
  if (round === 1 && config.model) return { model: resolve(config.model), stats: { given: config.model } };
  const given = { config, folder, seeds, pool, history };
  const [manifest] = await runStep(job, `train ${folder}`, trainStep, given);
  return { model: `${folder}/model.bin`, stats: manifest!.stats };
}
