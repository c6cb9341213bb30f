// What an answer is judged by: a gold answer, the options of a choice, or a goal that many answers reach.
import type { Repository } from "../protocol/tested-program.ts";
import type { UnitTest } from "../sandbox/unit-tests.ts";
import { type CountdownGoal, checkCountdown } from "./countdown.ts";
import { extractAnswer } from "./extract.ts";
import { type AnswerForm, isEcho } from "./form.ts";
import { type Grade, type GradeOptions, grade } from "./grade.ts";
import { TooMuchWork, Unreadable } from "./limits.ts";
import { parseAnswer } from "./parse.ts";

export interface Gold {
  /** The right answer, or one of them. */
  answer: string;
  /** Texts of the options A, B, C …, without their letters. */
  options?: string[];
  /** Any expression that reaches it is right. */
  countdown?: CountdownGoal;
  /** What a program has to pass. */
  tests?: UnitTest[];
  /** Code in front of an answer that holds no program of its own: the head of the function to be written. */
  starter?: string;
  /** The repository that an answer patches before the tests judge it. */
  repository?: Repository;
  /** What form a right answer must have; any where it is absent. */
  answerForm?: AnswerForm;
  /** Name of the family whose judge says how good an answer is: no rule decides, and `answer` is but one that does. */
  judge?: string;
  /** The question, whose own expression is no answer. */
  question?: string;
}

/** The grading options of a problem. */
export function gradingOf(gold: Gold): GradeOptions {
  return {
    ...(gold.options ? { choices: gold.options } : {}),
    ...(gold.answerForm ? { form: gold.answerForm } : {}),
    ...(gold.question === undefined ? {} : { question: gold.question }),
  };
}

/** Grades a completion by a problem's gold; unit tests are run by the sandbox. */
export function gradeProblem(completion: string, gold: Gold, options: GradeOptions = {}): Grade {
  if (gold.judge !== undefined)
    return { verdict: "unknown", answer: "", form: "none", why: "no rule decides this question" };
  if (gold.countdown) {
    const { kind, text, why } = extractAnswer(completion, options);
    if (kind === "none" || text === "") return { verdict: "unknown", answer: "", form: kind, why };
    const judged = checkCountdown(text, gold.countdown);
    return { verdict: judged.verdict, answer: text, form: kind, why: `${why}: ${judged.why}` };
  }
  return grade(completion, gold.answer, { ...options, ...gradingOf(gold) });
}

/** Whether a graded answer echoes its question: see `isEcho`. Countdown's answers are expressions, and never do. */
export function isEchoOf(answer: string, gold: Gold): boolean {
  if (gold.countdown || gold.tests || gold.judge !== undefined) return false;
  const { answerForm: form = "any", question = "" } = gold;
  return isEcho(answer, gold.answer, { form, question });
}

/** Why a gold answer cannot be compared with others than itself; nothing when it can. */
export function unreadableGold(gold: Gold): string | undefined {
  if (gold.countdown || gold.options || gold.tests || gold.judge !== undefined) return undefined;
  try {
    parseAnswer(gold.answer);
    return undefined;
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TooMuchWork) return error.message;
    throw error;
  }
}
