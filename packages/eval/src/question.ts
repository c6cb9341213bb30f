// What a step of an evaluation asks, and how its answers are sampled and graded.
import type { GradeOptions, TaskProblem } from "@nsa/tasks";
import type { ThoughtBudget } from "./trajectories/thoughts.ts";

export interface Question {
  problem: TaskProblem;
  prompt: string;
}

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
