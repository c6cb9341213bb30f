// What the screen and a pipeline's page show of stages that train on texts.
import type { StageFigure, StageOverview, StagePlot } from "@nsa/core";

export const trainingFigures: StageFigure[] = [
  { metric: "train/loss", label: "loss", format: "figure" },
  { metric: "val/loss", label: "val loss", format: "figure" },
  { metric: "val/bits_per_byte", label: "bits/byte", format: "figure" },
  { metric: "train/grad_norm", label: "grad norm", format: "figure" },
  { metric: "train/lr", label: "lr", format: "figure" },
  { metric: "perf/tokens_per_sec", label: "tokens/s", format: "count" },
  { metric: "perf/mfu", label: "MFU", format: "percent" },
  { metric: "perf/tflops", label: "TFLOP/s", format: "figure" },
];

export const trainingPlots: StagePlot[] = [
  { metric: "train/loss", title: "loss" },
  { metric: "val/loss", title: "val loss" },
];

export const trainingOverview = (title: string): StageOverview => ({
  title,
  charts: ["Loss, nats per token", "Gradient norm"],
  texts: true,
  result: "validation loss {val/loss|train/loss:figure}",
});
