// The rewards by name. A plugin registers its own beside these.
import { Registry } from "@nsa/core";
import { accuracy } from "./accuracy.ts";
import { code } from "./code.ts";
import { command } from "./command.ts";
import { custom } from "./custom.ts";
import { format } from "./format.ts";
import { judge } from "./judge.ts";
import type { RewardKind } from "./kind.ts";
import { language } from "./language.ts";
import { model, processModel } from "./model.ts";
import { equations } from "./steps.ts";
import { length, overlong, repetition } from "./text.ts";

export const rewardKinds = new Registry<RewardKind>("reward", { needs: { open: "function" } }).register(
  accuracy,
  format,
  language,
  length,
  overlong,
  repetition,
  code,
  equations,
  custom,
  model,
  processModel,
  command,
  judge,
);
