// The limits of a recipe against the pool: what contradicts itself, and what binds nothing.
import { NsaError } from "@nsa/core";
import type { BuildConfig } from "./config.ts";
import type { RoundReport } from "./round.ts";

type Limits = Pick<BuildConfig, "budgetTokens" | "nestedBudgets" | "minScore" | "minPrecision" | "labels">;

/** Throws NsaError `limits_bad` (exit 2) for limits that cannot be met together. */
export function checkLimits({ budgetTokens, nestedBudgets, minPrecision, labels }: Limits): void {
  const fail = (what: string, why: string, fix: string) =>
    new NsaError({ code: "limits_bad", what, why, fix, exitCode: 2 });
  const largest = nestedBudgets.at(-1) ?? 0;
  if (largest >= budgetTokens)
    throw fail(
      `nested_budgets up to ${largest}`,
      `budget_tokens is ${budgetTokens}, and they lie within it`,
      "raise budget_tokens to the largest budget",
    );
  if (minPrecision > 0 && labels === undefined)
    throw fail(
      `min_precision ${minPrecision}`,
      "there are no `labels` to measure it by",
      "label a sample of the pool, or set min_score",
    );
}

/** What to say before the rounds: a budget that covers the whole pool. */
export function warnOfPool(
  { budgetTokens, minScore, minPrecision }: Limits,
  tokens: number,
): string | undefined {
  if (budgetTokens < tokens || minScore > 0 || minPrecision > 0) return undefined;
  return `budget_tokens (${budgetTokens}) is not below the pool's ${tokens} tokens and there is no min_score: every page will be collected, whatever its score`;
}

/** Limits that bound nothing in the last round. */
export function idleLimits(
  { budgetTokens, minScore, minPrecision }: Limits,
  rounds: readonly RoundReport[],
): string[] {
  const { rank } = rounds.at(-1)!;
  const out: string[] = [];
  if (rank.documents > 0 && rank.collected === rank.documents) {
    const limits = [`budget_tokens (${budgetTokens})`, `min_score (${minScore})`];
    if (minPrecision > 0) limits.push(`min_precision (${minPrecision})`);
    out.push(
      `${limits.slice(0, -1).join(", ")} and ${limits.at(-1)} bind nothing: all ${rank.documents} pages (${rank.tokens} tokens) were collected, whatever their scores; lower the budget or raise min_score`,
    );
  }
  const idle = (rank.budgets ?? []).filter(({ documents }) => documents === rank.collected);
  if (idle.length > 0)
    out.push(
      `nested budgets that hold all ${rank.collected} collected pages (${rank.collected_tokens} tokens), as the largest does: ${idle.map(({ budget }) => budget).join(", ")}`,
    );
  return out;
}
