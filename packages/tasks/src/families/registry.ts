// The problem families by name. A plugin registers its own beside these.
import { Registry } from "@nsa/core";
import { addition, arithmetic, modular, products } from "./arithmetic.ts";
import { columnDifferences, columnSums } from "./columns.ts";
import { countdown } from "./countdown.ts";
import type { FamilyDefinition } from "./definition.ts";
import { functions } from "./functions.ts";
import { greetings, lists } from "./judged.ts";
import { links } from "./links.ts";
import { repairs } from "./repairs.ts";
import { wordProblems } from "./word-problems.ts";

export const families = new Registry<FamilyDefinition>("task", {
  needs: {
    difficulty: "string",
    answerForm: "string",
    draw: "function",
    keyOf: "function",
    working: "function",
  },
}).register(
  addition,
  arithmetic,
  modular,
  products,
  links,
  functions,
  repairs,
  countdown,
  wordProblems,
  columnSums,
  columnDifferences,
  greetings,
  lists,
);
