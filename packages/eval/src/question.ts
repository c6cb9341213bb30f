// What a step of an evaluation asks, and how its answers are sampled and graded.
import type { Tokenizer } from "@nsa/data";
import type { ChatTemplate, GradeOptions, TaskProblem } from "@nsa/tasks";
import type { Session } from "./session.ts";
import type { ThoughtBudget } from "./trajectories/thoughts.ts";

export interface Question {
  problem: TaskProblem;
  prompt: string;
}

/** What prompts depend on besides the recipe. `maxSeqLen`: the context, tokens. */
export interface Asker {
  tokenizer: Tokenizer;
  chat: () => ChatTemplate;
  maxSeqLen: number;
}

export const askerOf = ({ tokenizer, chat, model }: Session): Asker => ({
  tokenizer,
  chat,
  maxSeqLen: model.config.maxSeqLen,
});

export interface Generation {
  name: string;
  /** Number of the task in the recipe: tasks draw different random numbers. */
  index: number;
  samples: number;
  greedy: boolean;
  maxTokens: number;
  stop: readonly string[];
  grading: GradeOptions;
  /** Budget forcing, of answers in text alone. */
  thought?: ThoughtBudget;
}
