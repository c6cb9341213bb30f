// A plugin for tests: problems that ask for twice a number.
import type { Plugin } from "@nsa/core";
import type { FamilyDefinition } from "@nsa/tasks";

export default {
  kind: "task",
  name: "doubling",
  difficulty: "digits",
  answerForm: "number",
  draw: (int, digits) => {
    const n = int(10 ** digits);
    return { question: `twice ${n}`, answer: String(2 * n) };
  },
  keyOf: (question) => question,
  working: ({ answer }) => ({ text: answer, answer }),
} satisfies Plugin<"task", FamilyDefinition>;
