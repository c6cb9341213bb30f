// The page of `nsa rollouts`: a question, and its outputs side by side with their rewards, advantages and labels.
import type { ShownOutput } from "@nsa/rl";
import { Box, Text } from "ink";
import { figure } from "../format.ts";
import type { BrowserState } from "./state.ts";

/** Columns of one output. */
const OUTPUT_COLUMNS = 36;
/** Rows besides the outputs' texts. */
const OTHER_ROWS = 9;

/** Control characters of an output would move the cursor. */
const visible = (text: string) => text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "·");
const signed = (x: number) => `${x < 0 ? "−" : "+"}${figure(Math.abs(x))}`;

export interface PageProps {
  state: BrowserState;
  /** Verdicts of a person by `step/output`. */
  verdicts: ReadonlyMap<string, "right" | "wrong">;
  width: number;
  height: number;
}

/** The outputs that fit beside each other, the selected one among them. */
function windowOf<T>(items: readonly T[], selected: number, fit: number): { item: T; index: number }[] {
  const from = Math.max(0, Math.min(selected - Math.floor(fit / 2), items.length - fit));
  return items.slice(from, from + fit).map((item, i) => ({ item, index: from + i }));
}

function state(o: ShownOutput): string {
  if (o.fault !== undefined) return "no reward";
  if (o.discarded) return "discarded";
  return o.learned ? "" : "not learned";
}

interface OutputProps {
  output: ShownOutput;
  selected: boolean;
  better: boolean;
  verdict: "right" | "wrong" | undefined;
  width: number;
  rows: number;
}

function Output({ output: o, selected, better, verdict, width, rows }: OutputProps) {
  const parts = Object.entries(o.parts).map(([name, value]) => `${name} ${figure(value)}`);
  const marks = [verdict && `a person: ${verdict}`, better && "better", state(o)].filter(Boolean);
  return (
    <Box flexDirection="column" width={width} paddingRight={1}>
      <Text wrap="truncate-end" inverse={selected} bold>
        #{o.output} reward {o.reward === null ? "–" : figure(o.reward)}{" "}
        <Text color={o.advantage > 0 ? "green" : o.advantage < 0 ? "red" : undefined}>
          advantage {signed(o.advantage)}
        </Text>
      </Text>
      <Text wrap="truncate-end" dimColor>
        {[...parts, `${o.tokens} tokens`, o.finish === "length" ? "cut" : ""].filter(Boolean).join(", ")}
      </Text>
      <Text wrap="truncate-end" color="yellow">
        {marks.join(", ")}
      </Text>
      <Box height={rows} overflow="hidden">
        <Text>{visible(o.completion)}</Text>
      </Box>
    </Box>
  );
}

export function RolloutPage({ state: s, verdicts, width, height }: PageProps) {
  const group = s.groups[s.group]!;
  const fit = Math.max(1, Math.floor(width / OUTPUT_COLUMNS));
  const outputs = windowOf(group.outputs, s.output, fit);
  const columns = Math.floor(width / Math.max(1, outputs.length));
  const keys = [
    "←→ question",
    "[] step",
    "↑↓ output",
    ...(s.labeling ? ["r right", "w wrong", "p better"] : []),
  ];
  return (
    <Box flexDirection="column" width={width}>
      <Text bold wrap="truncate-end">
        step {group.step}, question {s.group + 1} of {s.groups.length}: {group.id}
      </Text>
      <Text wrap="truncate-end">
        {visible(group.question).replace(/\n/g, "⏎")} <Text dimColor>gold {group.answer}</Text>
      </Text>
      <Box marginTop={1}>
        {outputs.map(({ item, index }) => (
          <Output
            key={item.output}
            output={item}
            selected={index === s.output}
            better={index === s.better}
            verdict={verdicts.get(`${group.step}/${item.output}`)}
            width={columns}
            rows={Math.max(2, height - OTHER_ROWS)}
          />
        ))}
      </Box>
      <Text color="cyan" wrap="truncate-end">
        {s.message}
      </Text>
      <Text dimColor wrap="truncate-end">
        output #{group.outputs[s.output]!.output}, {s.output + 1} of {group.outputs.length} ·{" "}
        {[...keys, "q end"].join(" · ")}
      </Text>
    </Box>
  );
}
