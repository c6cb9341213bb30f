// Measures a ranking against a labels file. Nothing here feeds back into the loop.
import { join } from "node:path";
import { NsaError } from "@nsa/core";
import { forEachJson } from "../readers/each.ts";
import { readDocumentsRows } from "../readers/rows.ts";
import type { CleanShard } from "../steps/clean.ts";
import { rankOrder } from "../steps/rank.ts";
import { type KindScores, type RankingQuality, rankingQuality, scoresByKind } from "./metrics.ts";
import { type Page, readScores } from "./shards.ts";

/** A tenth of the score range: how often its documents are wanted. */
export interface CalibrationBin {
  from: number;
  documents: number;
  wanted: number;
}

export interface Quality extends RankingQuality {
  /** Documents of the pool without a label (left out). */
  unlabelled: number;
  calibration: CalibrationBin[];
  /** Scores by kind of page, where the labels have kinds. */
  kinds?: KindScores[];
  /** Points of the precision/recall curve. */
  curve: { threshold: number; precision: number; recall: number }[];
}

/** What a labels file says of a document. */
export interface Label {
  wanted: boolean;
  /** Kind of page (prose, word problems, a language …), by which scores are reported; may be empty. */
  kind: string;
}

export type Labels = ReadonlyMap<string, Label>;

/** Labels by document id. Throws NsaError `labels_bad` (exit 3). */
export async function readLabels(path: string, positive: string): Promise<Labels> {
  const labels = new Map<string, Label>();
  for await (const row of readDocumentsRows(path)) {
    if (typeof row.id !== "string" || typeof row.label !== "string") {
      throw new NsaError({
        code: "labels_bad",
        what: `row ${labels.size + 1} of ${path} is no label`,
        why: "it has no string fields `id` and `label`",
        fix: 'write one {"id": …, "label": …} a line',
        exitCode: 3,
      });
    }
    labels.set(row.id, {
      wanted: row.label === positive,
      kind: typeof row.kind === "string" ? row.kind : "",
    });
  }
  return labels;
}

/** Scores of the labelled pages, and whether each is wanted. Throws NsaError `labels_do_not_fit` (exit 3) where there is none. */
function labelledScores(
  outDir: string,
  shards: CleanShard[],
  scoreFiles: string[],
  labels: Labels,
): { scores: number[]; wanted: boolean[]; kinds: string[]; unlabelled: number } {
  const scores: number[] = [];
  const kinds: string[] = [];
  const wanted: boolean[] = [];
  let unlabelled = 0;
  shards.forEach((shard, s) => {
    const column = readScores(join(outDir, scoreFiles[s]!));
    forEachJson<Page>(join(outDir, shard.pages), ({ id }, i) => {
      const label = labels.get(id);
      if (label === undefined) {
        unlabelled++;
        return;
      }
      scores.push(column[i]!);
      wanted.push(label.wanted);
      kinds.push(label.kind);
    });
  });
  if (scores.length > 0) return { scores, wanted, kinds, unlabelled };
  throw new NsaError({
    code: "labels_do_not_fit",
    what: "no document of the pool has a label",
    why: `the ${labels.size} ids of the labels file match none of the ${unlabelled} documents`,
    fix: "give the labels file of this pool, or leave `labels` out",
    exitCode: 3,
  });
}

/** A cut of the ranking: its score, and among the labelled pages from it up how many there are and how many are wanted. */
export interface Cut {
  score: number;
  pages: number;
  wanted: number;
}

/**
 * The lowest score from which up at least the share `target` of the pages is wanted; undefined where no score has it. Pages of one
 * score are on one side.
 */
export function cutForPrecision(
  scores: readonly number[],
  wanted: readonly boolean[],
  target: number,
): Cut | undefined {
  const order = rankOrder(Float32Array.from(scores));
  let cut: Cut | undefined;
  let hits = 0;
  for (let k = 0; k < order.length; k++) {
    if (wanted[order[k]!]) hits++;
    const score = scores[order[k]!]!;
    const ends = k + 1 === order.length || scores[order[k + 1]!]! < score;
    if (ends && hits >= target * (k + 1)) cut = { score, pages: k + 1, wanted: hits };
  }
  return cut;
}

/** The cut of a round's scores. Throws NsaError `precision_not_reached` (exit 3). */
export function precisionCut(
  outDir: string,
  shards: CleanShard[],
  scoreFiles: string[],
  { labels, target }: { labels: Labels; target: number },
): Cut {
  const { scores, wanted } = labelledScores(outDir, shards, scoreFiles, labels);
  const cut = cutForPrecision(scores, wanted, target);
  if (cut) return cut;
  throw new NsaError({
    code: "precision_not_reached",
    what: `min_precision ${target}`,
    why: `from no score up so large a share of the ${scores.length} labelled pages is wanted`,
    fix: "lower min_precision, or give more seeds",
    exitCode: 3,
  });
}

export function measureRanking(
  outDir: string,
  shards: CleanShard[],
  scoreFiles: string[],
  labels: Labels,
): Quality {
  const { scores, wanted, kinds, unlabelled } = labelledScores(outDir, shards, scoreFiles, labels);
  const order = rankOrder(Float32Array.from(scores));
  const ranked = Array.from(order, (i) => wanted[i]!);
  const calibration = Array.from({ length: 10 }, (_, b) => ({ from: b / 10, documents: 0, wanted: 0 }));
  scores.forEach((score, i) => {
    const bin = calibration[Math.min(9, Math.floor(score * 10))]!;
    bin.documents++;
    bin.wanted += wanted[i] ? 1 : 0;
  });
  const quality = rankingQuality(ranked);
  const curve: Quality["curve"] = [];
  let hits = 0;
  const stride = Math.max(1, Math.floor(ranked.length / 100));
  ranked.forEach((hit, k) => {
    if (hit) hits++;
    if ((k + 1) % stride === 0)
      curve.push({
        threshold: scores[order[k]!]!,
        precision: hits / (k + 1),
        recall: quality.positives === 0 ? 0 : hits / quality.positives,
      });
  });
  const byKind = kinds.some((kind) => kind !== "") ? { kinds: scoresByKind(scores, wanted, kinds) } : {};
  return { ...quality, unlabelled, calibration, curve, ...byKind };
}
