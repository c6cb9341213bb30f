// Ranking quality against labels. Used to measure only; nothing in the loop reads it.

export interface RankingQuality {
  documents: number;
  positives: number;
  /** Mean of the precision at each positive. */
  averagePrecision: number;
  /** Precision in the first `positives` places. */
  rPrecision: number;
}

/** Documents in rank order, true where wanted. */
export function rankingQuality(rankedIsPositive: boolean[]): RankingQuality {
  const positives = rankedIsPositive.filter(Boolean).length;
  let hits = 0;
  let sum = 0;
  let atR = 0;
  rankedIsPositive.forEach((wanted, i) => {
    if (wanted) {
      hits++;
      sum += hits / (i + 1);
    }
    if (i === positives - 1) atR = hits;
  });
  return {
    documents: rankedIsPositive.length,
    positives,
    averagePrecision: positives === 0 ? 0 : sum / positives,
    rPrecision: positives === 0 ? 0 : atR / positives,
  };
}

/** Scores of the pages of one kind and label. */
export interface KindScores {
  kind: string;
  wanted: boolean;
  documents: number;
  /** The middle score; of an even number the lower of the two. */
  median: number;
  /** Share of the scores from 0.5 up. */
  overHalf: number;
  /** Average precision of these pages, if wanted, against all that are not. */
  averagePrecision?: number;
}

/** Rows by kind, wanted ones first, each in the order of the names. */
export function scoresByKind(
  scores: readonly number[],
  wanted: readonly boolean[],
  kinds: readonly string[],
): KindScores[] {
  const order = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);
  const rows: KindScores[] = [];
  for (const wants of [true, false])
    for (const kind of [...new Set(kinds)].sort()) {
      const isOwn = (i: number) => kinds[i] === kind && wanted[i] === wants;
      const own = order.filter(isOwn).map((i) => scores[i]!);
      if (own.length === 0) continue;
      const against = order.filter((i) => isOwn(i) || !wanted[i]).map((i) => wanted[i]!);
      rows.push({
        kind,
        wanted: wants,
        documents: own.length,
        median: own[Math.floor(own.length / 2)]!,
        overHalf: own.filter((score) => score >= 0.5).length / own.length,
        ...(wants ? { averagePrecision: rankingQuality(against).averagePrecision } : {}),
      });
    }
  return rows;
}
