// The screen of a running stage, drawn from its state; the clock and the width come in as properties.
import { Box, Text } from "ink";
import type { ReactNode } from "react";
import { figures, plotted } from "./figures.ts";
import { count, duration, figure } from "./format.ts";
import { braillePlot, type Point } from "./plot.ts";
import { type ScreenState, secondsLeft } from "./state.ts";

const SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
/** A picture taller than the terminal would make it scroll and flicker; below these rows it gives way. */
const TALL = 30;
const LOW = 20;
/** Columns of one figure with its label. */
const FIGURE_COLUMNS = 32;

function Header({ state, time }: { state: ScreenState; time: number }) {
  const { parameters, device } = state.info;
  const facts = [
    parameters === undefined ? undefined : `${count(Number(parameters))} parameters`,
    device === undefined ? undefined : String(device),
    state.runDir,
  ].filter((fact) => fact !== undefined);
  const busy = state.phase === "done" ? "✔" : SPINNER[Math.floor(time * 8) % SPINNER.length];
  return (
    <Text wrap="truncate-end">
      <Text color="cyan">{busy}</Text> <Text bold>{state.title}</Text>{" "}
      <Text dimColor>{facts.join(" · ")}</Text>
    </Text>
  );
}

function Progress({ state, time, width }: { state: ScreenState; time: number; width: number }) {
  // Nothing is known of the steps before the stage has loaded what it works on.
  if (state.phase === "starting" && !state.first) return <Text dimColor>starting …</Text>;
  const share = state.totalSteps > 0 ? Math.min(1, state.step / state.totalSteps) : 0;
  const columns = Math.max(10, Math.min(50, width - 45));
  const full = Math.round(share * columns);
  const elapsed = state.first ? time - state.first.time : 0;
  const left = state.phase === "done" ? 0 : secondsLeft(state, time);
  return (
    <Text wrap="truncate-end">
      <Text color="green">{"█".repeat(full)}</Text>
      <Text dimColor>{"░".repeat(columns - full)}</Text> {state.step}/{state.totalSteps}{" "}
      <Text dimColor>
        {duration(elapsed)} gone, {duration(left)} left
      </Text>
    </Text>
  );
}

interface CurveProps {
  title: string;
  points: readonly Point[];
  columns: number;
  rows: number;
}

function Curve({ title, points, columns, rows: height }: CurveProps) {
  const plot = braillePlot(points, columns - 9, height);
  if (!plot) return null;
  const label = (row: number) => (row === 0 ? plot.high : row === height - 1 ? plot.low : undefined);
  const rows = plot.lines.map((line, row) => ({ line, at: label(row), key: `${title}${row}` }));
  return (
    <Box flexDirection="column" width={columns}>
      <Text bold>{title}</Text>
      {rows.map(({ line, at, key }) => (
        <Text key={key} wrap="truncate-end">
          <Text dimColor>{(at === undefined ? "" : figure(at)).padStart(8)}</Text>
          <Text color="cyan">{line}</Text>
        </Text>
      ))}
    </Box>
  );
}

function Figures({ state, width }: { state: ScreenState; width: number }) {
  const columns = Math.max(1, Math.floor(width / FIGURE_COLUMNS));
  return (
    <Box flexWrap="wrap" columnGap={2}>
      {figures(state).map(([label, text]) => (
        <Box key={label} width={Math.floor(width / columns) - 2}>
          <Text wrap="truncate-end">
            <Text dimColor>{label}</Text> {text}
          </Text>
        </Box>
      ))}
    </Box>
  );
}

/** Control characters of a sample would move the cursor. */
const visible = (text: string) => text.replace(/\n/g, "⏎").replace(/[\u0000-\u001f\u007f-\u009f]/g, "·");

function Sample({ state }: { state: ScreenState }) {
  if (!state.sample) return null;
  const { step, prompt, text, reward } = state.sample;
  return (
    <Box flexDirection="column">
      <Text dimColor>
        sample at step {step}
        {reward === undefined ? "" : `, reward ${figure(reward)}`}
      </Text>
      <Box height={3} overflow="hidden">
        <Text>
          <Text dimColor>{visible(prompt.slice(-160))}</Text>
          {visible(text.slice(0, 400))}
        </Text>
      </Box>
    </Box>
  );
}

function Notes({ state }: { state: ScreenState }) {
  const saved = state.checkpoint ? `saved step ${state.checkpoint.step}` : undefined;
  const lines: { key: string; node: ReactNode }[] = state.notes.map(({ level, text }, i) => ({
    key: `${i}${text}`,
    node: (
      <Text color={level === "warn" ? "yellow" : undefined}>{level === "warn" ? `! ${text}` : text}</Text>
    ),
  }));
  if (saved) lines.push({ key: "saved", node: <Text dimColor>{saved}</Text> });
  if (state.phase === "stopping") {
    const text = "saving after this step; press Ctrl-C again to end at once";
    lines.push({ key: "stopping", node: <Text color="yellow">{text}</Text> });
  }
  return (
    <Box flexDirection="column">
      {lines.map(({ key, node }) => (
        <Box key={key}>{node}</Box>
      ))}
    </Box>
  );
}

export interface ScreenProps {
  state: ScreenState;
  /** Seconds on the clock that the events' times come from. */
  time: number;
  /** Columns and rows of the terminal. */
  width: number;
  height: number;
}

export function Screen({ state, time, width, height }: ScreenProps) {
  const curves = plotted(state);
  const columns = Math.min(70, Math.floor((width - 2) / Math.max(1, curves.length)));
  return (
    <Box flexDirection="column" width={width} rowGap={1}>
      <Box flexDirection="column">
        <Header state={state} time={time} />
        <Progress state={state} time={time} width={width} />
      </Box>
      {curves.length > 0 && (
        <Box columnGap={2}>
          {curves.map(({ name, title }) => (
            <Curve
              key={name}
              title={title}
              points={state.curves[name]!}
              columns={columns}
              rows={height < TALL ? 3 : 6}
            />
          ))}
        </Box>
      )}
      <Figures state={state} width={width} />
      {height >= LOW && <Sample state={state} />}
      <Notes state={state} />
    </Box>
  );
}
