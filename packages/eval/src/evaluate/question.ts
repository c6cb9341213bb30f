// What a step of an evaluation asks, and how its answers are sampled and graded.
import type { GradeOptions } from "../grader/grade.ts";
import type { TaskProblem } from "../tasks/problems.ts";

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
}
