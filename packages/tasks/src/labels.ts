// A person's labels of outputs, as `labels.jsonl` has them: verdicts and preferences, of which a later one corrects an earlier one.
interface LabelOf {
  /** ISO 8601, UTC; absent where a recipe's filter gave the label. */
  time?: string;
  step: number;
  group: number;
  id: string;
  question: string;
  prompt: string;
}

export interface VerdictLabel extends LabelOf {
  kind: "verdict";
  output: number;
  gold: string;
  completion: string;
  verdict: "right" | "wrong";
}

/** The texts stand under the names that preference data has. */
export interface PreferenceLabel extends LabelOf {
  kind: "preference";
  chosen_output: number;
  rejected_output: number;
  chosen: string;
  rejected: string;
}

export type Label = VerdictLabel | PreferenceLabel;

/** What a label is about: a later one on the same is a correction. */
function subjectOf(label: Label): string {
  if (label.kind === "verdict") return `verdict ${label.step}/${label.output}`;
  const [a, b] = [label.chosen_output, label.rejected_output].sort((x, y) => x - y);
  return `preference ${label.step}/${a}/${b}`;
}

/** The labels of a kind that no later one corrects, in the order in which they were given. */
export function labelsInForce(labels: readonly Label[], kind: Label["kind"]): Label[] {
  const last = new Map(labels.map((label) => [subjectOf(label), label]));
  return labels.filter((label) => label.kind === kind && last.get(subjectOf(label)) === label);
}

/** The verdicts in force, by step and output. */
export function verdictsOf(labels: readonly Label[]): Map<string, "right" | "wrong"> {
  return new Map(
    labels.flatMap((l) => (l.kind === "verdict" ? [[`${l.step}/${l.output}`, l.verdict] as const] : [])),
  );
}
