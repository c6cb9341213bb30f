// What the screen shows of a stage: the figures and curves that its definition names; absent metrics give no line.
import type { Metrics, StageFigure } from "@nsa/core";
import { count, figure, percent } from "./format.ts";
import type { ScreenState } from "./state.ts";

type Row = [label: string, text: string];

const FORMATS = { figure, count, percent } as const;

/** `0.42 ± 0.1` of a mean and its deviation, or the value alone. */
function row(all: Metrics, { metric, label, format, deviation }: StageFigure): Row[] {
  const value = all[metric];
  if (value === undefined) return [];
  const show = FORMATS[format];
  const spread = deviation === undefined ? undefined : all[deviation];
  return [[label, spread === undefined ? show(value) : `${show(value)} ± ${show(spread)}`]];
}

/** The metrics that a pattern means, each as a figure of its own. */
function spelledOut(all: Metrics, pattern: StageFigure, named: ReadonlySet<string>): StageFigure[] {
  const start = pattern.metric.slice(0, -1);
  const deviationOf = (rest: string) => pattern.deviation?.replace("*", rest);
  const found = Object.keys(all).filter(
    (name) => name.startsWith(start) && !named.has(name) && !pattern.except?.includes(name),
  );
  const rests = found.map((name) => name.slice(start.length));
  const deviations = new Set(rests.map(deviationOf));
  return rests
    .filter((rest) => !deviations.has(start + rest))
    .map((rest) => ({
      ...pattern,
      metric: start + rest,
      label: pattern.label + rest,
      deviation: deviationOf(rest),
    }));
}

/** Figures that no list names, as they are: an evaluation's tasks, a stage without a list. */
const OTHERS = 16;

function others(all: Metrics): Row[] {
  const speed = row(all, { metric: "perf/tokens_per_sec", label: "tokens/s", format: "count" });
  const names = Object.keys(all).filter((name) => !name.startsWith("perf/"));
  return [
    ...speed,
    ...names.slice(-OTHERS).map((name): Row => [name.replace(/^eval\//, ""), figure(all[name]!)]),
  ];
}

export function figures({ metrics, held, shown }: ScreenState): Row[] {
  const list = shown.figures;
  if (list === undefined) return others({ ...metrics, ...held });
  const all = { ...held, ...metrics };
  const named = new Set(list.map(({ metric }) => metric));
  return list.flatMap((wanted) =>
    wanted.metric.endsWith("*")
      ? spelledOut(all, wanted, named).flatMap((one) => row(all, one))
      : row(all, wanted),
  );
}

/** The curves to draw, best first. */
export function plotted({ curves, shown }: ScreenState): { name: string; title: string }[] {
  return (shown.plots ?? [])
    .map(({ metric, title }) => ({ name: metric, title }))
    .filter(({ name }) => (curves[name]?.length ?? 0) > 1)
    .slice(0, 2);
}
