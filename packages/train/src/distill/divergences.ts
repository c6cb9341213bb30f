// Divergences between a teacher's and a student's distributions over the next token, by name.
//
// With p the teacher's and q the student's probabilities: the slope of Σ p·log(p/q) in the student's logits is q − p, that of
// Σ q·log(q/p) is q·(log(q/p) − Σ q·log(q/p)).
import { Registry } from "@nsa/core";
import type { Divergence } from "@nsa/kernels";

/** A member of the registry `divergence`. */
export interface DivergenceKind {
  readonly name: string;
  readonly rows: Divergence;
  /** Whether it reads the teacher's log-probabilities only where the teacher's probability is not 0, so that the teacher may be cut to its most likely tokens. */
  readonly truncates: boolean;
}

/** KL(teacher ‖ student): covers all that the teacher would say. */
const forwardKl: DivergenceKind = {
  name: "forward_kl",
  truncates: true,
  rows: ({ math, sum }, student, teacher) => {
    const p = math.exp(teacher);
    return {
      loss: sum(math.mul(p, math.sub(teacher, student))),
      slope: math.sub(math.exp(student), p),
    };
  },
};

/** KL(student ‖ teacher): keeps to what the teacher finds likely. */
const reverseKl: DivergenceKind = {
  name: "reverse_kl",
  truncates: false,
  rows: ({ math, sum, spread }, student, teacher) => {
    const q = math.exp(student);
    const ratio = math.sub(student, teacher);
    const loss = sum(math.mul(q, ratio));
    return { loss, slope: math.mul(q, math.sub(ratio, spread(loss))) };
  },
};

export const divergences = new Registry<DivergenceKind>("divergence", {
  needs: { rows: "function" },
}).register(forwardKl, reverseKl);
