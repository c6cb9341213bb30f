// The environment `lookup`: the table of the family `links`, one entry a call.
import { linkOf } from "../families/links.ts";
import type { Environment, EnvironmentKind } from "./definition.ts";

export const lookup: EnvironmentKind = {
  name: "lookup",
  open: (): Environment => ({
    name: "lookup",
    tools: [
      {
        name: "lookup",
        description: "Gives the number of four digits that another one leads to.",
        parameters: {
          type: "object",
          properties: { key: { type: "string", description: "a number of four digits" } },
          required: ["key"],
        },
      },
    ],
    reset: () => null,
    step: (state, { arguments: { key } }) => {
      if (typeof key !== "string" || !/^\d{4}$/.test(key.trim()))
        throw new Error("not a number of four digits");
      return { state, output: linkOf(key.trim()) };
    },
    close() {},
  }),
};
