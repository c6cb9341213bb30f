// A plugin for tests: twice KL(teacher ‖ student).
import type { Plugin } from "@nsa/core";
import type { DivergenceKind } from "@nsa/train";

export default {
  kind: "divergence",
  name: "twice_forward_kl",
  truncates: true,
  rows: ({ math, sum }, student, teacher) => {
    const p = math.exp(teacher);
    return {
      loss: math.mul(sum(math.mul(p, math.sub(teacher, student))), 2),
      slope: math.mul(math.sub(math.exp(student), p), 2),
    };
  },
} satisfies Plugin<"divergence", DivergenceKind>;
