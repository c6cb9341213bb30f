// A plugin for tests: the learning rate falls in a straight line to half of its peak.
import type { Plugin } from "@nsa/core";
import type { ScheduleKind } from "@nsa/train";

export default {
  kind: "schedule",
  name: "to_half",
  share: (_schedule, { progress }) => 1 - progress / 2,
} satisfies Plugin<"schedule", ScheduleKind>;
