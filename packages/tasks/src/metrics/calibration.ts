// Calibration of the majority's share: a vote of 60 % should be right 60 % of the time.

export interface CalibrationBin {
  low: number;
  high: number;
  problems: number;
  /** Mean share of the majority answer, and how often it was right. */
  share: number;
  accuracy: number;
}

export interface Calibration {
  bins: CalibrationBin[];
  /** Expected calibration error: mean |share − accuracy|, weighted by problems. */
  error: number;
}

/** Bins of equal width over (0, 1]. `right` is 1, or the chance of a right pick among tied majorities. */
export function majorityCalibration(
  votes: readonly { share: number; right: number }[],
  bins = 10,
): Calibration {
  const groups: { share: number; right: number }[][] = Array.from({ length: bins }, () => []);
  for (const vote of votes) groups[Math.min(bins - 1, Math.ceil(vote.share * bins) - 1)]?.push(vote);
  const mean = (xs: number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
  const out = groups.flatMap((group, i) =>
    group.length === 0
      ? []
      : [
          {
            low: i / bins,
            high: (i + 1) / bins,
            problems: group.length,
            share: mean(group.map((v) => v.share)),
            accuracy: mean(group.map((v) => v.right)),
          },
        ],
  );
  const error = out.reduce((a, b) => a + (b.problems / votes.length) * Math.abs(b.share - b.accuracy), 0);
  return { bins: out, error: votes.length > 0 ? error : 0 };
}
