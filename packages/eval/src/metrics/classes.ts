// Classes of equal answers, as the grader sees them: what votes are counted over.
import { sameAnswer } from "../grader/grade.ts";

export interface AnswerClasses {
  /** Members of each class; an empty answer is a class of its own that never grows. */
  counts: number[];
  /** Class of each answer. */
  of: number[];
  /** Number of the class that equals the gold answer; −1 when none does. */
  right: number;
}

/** Groups the answers of one problem. Equal texts are compared once. */
export function groupAnswers(answers: readonly string[], gold: string): AnswerClasses {
  const texts: string[] = [];
  const counts: number[] = [];
  const known = new Map<string, number>();
  const of = answers.map((answer) => {
    let index = answer === "" ? -1 : (known.get(answer) ?? -1);
    if (index < 0 && answer !== "") {
      index = texts.findIndex((text) => text !== "" && sameAnswer(answer, text));
    }
    if (index < 0) {
      index = texts.push(answer) - 1;
      counts.push(0);
    }
    if (answer !== "") known.set(answer, index);
    counts[index]!++;
    return index;
  });
  return { counts, of, right: texts.findIndex((text) => text !== "" && sameAnswer(text, gold)) };
}
