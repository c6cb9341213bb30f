// Classes of equal answers, as the grader sees them: what votes are counted over.
import { sameAnswer } from "../grader/grade.ts";

export interface AnswerClasses {
  /** Members of each class; an empty answer is a class of its own that never grows. */
  counts: number[];
  /** Class of each answer. */
  of: number[];
  /** Number of the class of right answers; −1 when there is none. */
  right: number;
}

/**
 * Groups the answers of one problem. Equal texts are compared once; right answers are one class, however they are
 * written, also where many answers are right.
 */
export function groupAnswers(answers: readonly string[], right: readonly boolean[]): AnswerClasses {
  const texts: string[] = [];
  const counts: number[] = [];
  const known = new Map<string, number>();
  let rightClass = -1;
  const of = answers.map((answer, i) => {
    let index = answer === "" ? -1 : right[i] ? rightClass : (known.get(answer) ?? -1);
    if (index < 0 && answer !== "" && !right[i]) {
      index = texts.findIndex((text, k) => text !== "" && k !== rightClass && sameAnswer(answer, text));
    }
    if (index < 0) {
      index = texts.push(answer) - 1;
      counts.push(0);
    }
    if (right[i]) rightClass = index;
    else if (answer !== "") known.set(answer, index);
    counts[index]!++;
    return index;
  });
  return { counts, of, right: rightClass };
}
