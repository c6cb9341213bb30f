// The environments by name. A plugin registers its own beside these: a definition {kind: environment, name, tools, reset, step}.
import { Registry } from "@nsa/core";
import { calculator } from "./calculator.ts";
import type { EnvironmentDefinition, EnvironmentKind } from "./definition.ts";
import { lookup } from "./lookup.ts";
import { python } from "./python.ts";

/** A definition without a life of its own, as a member. */
export function memberOf(name: string, definition: EnvironmentDefinition): EnvironmentKind {
  const { tools } = definition;
  return {
    name,
    open: () => ({
      name,
      tools,
      reset: (problem, seed) => definition.reset(problem, seed),
      step: (state, call) => definition.step(state, call),
      close() {},
    }),
  };
}

export const environmentKinds = new Registry<EnvironmentKind>("environment", {
  needs: { tools: "object", reset: "function", step: "function" } as Record<string, "object" | "function">,
  adopt: (definition) => memberOf(definition.name, definition as unknown as EnvironmentDefinition),
}).register(python, calculator, lookup);
