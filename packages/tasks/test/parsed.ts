// The parse tree of a test's expression.
import type { Node } from "../src/grader/node.ts";
import { parseAnswer } from "../src/grader/parse.ts";

export type { Node };

export const parseExpression = (text: string): Node => parseAnswer(text).readings[0]!;
