// The one list of cases.
import type { OpCase } from "../case.ts";
import { attentionCases } from "./attention.ts";
import { denseCases } from "./dense.ts";
import { elementwiseCases } from "./elementwise.ts";
import { pagedCases } from "./paged.ts";
import { selectedCases } from "./selected.ts";
import { trainingCases } from "./training.ts";

export const cases: OpCase[] = [
  ...elementwiseCases,
  ...denseCases,
  ...attentionCases,
  ...selectedCases,
  ...pagedCases,
  ...trainingCases,
];
