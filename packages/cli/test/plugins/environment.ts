// A plugin for tests: a tool that counts how often it was called.
import type { Plugin } from "@nsa/core";
import type { EnvironmentDefinition } from "@nsa/tasks";

export default {
  kind: "environment",
  name: "counting",
  tools: [
    {
      name: "count",
      description: "Counts its calls.",
      parameters: { type: "object", properties: { why: { type: "string" } }, required: ["why"] },
    },
  ],
  reset: () => 0,
  step: (calls) => ({ state: calls + 1, output: String(calls + 1), done: calls === 2 }),
} satisfies Plugin<"environment", EnvironmentDefinition<number> & { name: string }>;
