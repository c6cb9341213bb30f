// Random answer-like strings: pieces of LaTeX, numbers, brackets and noise, the same for the same number.
import { Rng } from "@nsa/core";

const STREAM = 71;
const rng = new Rng(20_261, STREAM);
const pieces =
  "\\frac{ \\sqrt{ \\sqrt[ } { ( ) [ ] \\{ \\} ^ _ ^{ + - * / = < > \\le \\pm \\cup \\in , ; : . 1 2 7 9 0.5 99999999999 x y n e i \\pi \\sin \\log \\infty ! % | & \\\\ \\begin{pmatrix} \\end{pmatrix} \\text{ and or \\boxed{ #### <answer> </answer> <think> </think> $ 元 五 分之 cm ² 9^{9^9} (1+x)^{40} 1000! \\binom{50}{25} \\overline{ ' \u0000 😀 the answer is Final Answer: 1,234 \\sum_{k=1}^{n} \n".split(
    " ",
  );

export function fuzzString(index: number, lane: number): string {
  let at = lane * 1000;
  const draw = (n: number) => Math.min(n - 1, Math.floor(rng.uniform(index, at++) * n));
  const length = draw(100) === 0 ? 400 : 1 + draw(30);
  const glue = draw(2) === 0 ? "" : " ";
  let text = "";
  for (let k = 0; k < length; k++) text += pieces[draw(pieces.length)]! + (draw(4) === 0 ? " " : glue);
  return text;
}
