// Complex arithmetic and elementary functions in doubles, principal branches.

export interface Complex {
  re: number;
  im: number;
}

export const complex = (re: number, im = 0): Complex => ({ re, im });
export const add = (a: Complex, b: Complex) => complex(a.re + b.re, a.im + b.im);
export const sub = (a: Complex, b: Complex) => complex(a.re - b.re, a.im - b.im);
export const mul = (a: Complex, b: Complex) => complex(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
export function div(a: Complex, b: Complex): Complex {
  const d = b.re * b.re + b.im * b.im;
  return complex((a.re * b.re + a.im * b.im) / d, (a.im * b.re - a.re * b.im) / d);
}
export const abs = (a: Complex) => Math.hypot(a.re, a.im);
export const exp = (a: Complex) => complex(Math.exp(a.re) * Math.cos(a.im), Math.exp(a.re) * Math.sin(a.im));
export const log = (a: Complex) => complex(Math.log(abs(a)), Math.atan2(a.im === 0 ? 0 : a.im, a.re));

export function pow(a: Complex, b: Complex): Complex {
  if (a.im === 0 && b.im === 0) {
    const real = a.re ** b.re;
    if (!Number.isNaN(real)) return complex(real);
  }
  if (a.re === 0 && a.im === 0) return complex(b.re > 0 ? 0 : Number.NaN);
  return exp(mul(b, log(a)));
}

const I = complex(0, 1);
const ONE = complex(1);
const half = (a: Complex) => complex(a.re / 2, a.im / 2);
const neg = (a: Complex) => complex(-a.re, -a.im);
const sqrt = (a: Complex) => pow(a, complex(0.5));
const sinh = (a: Complex) => half(sub(exp(a), exp(neg(a))));
const cosh = (a: Complex) => half(add(exp(a), exp(neg(a))));
const sin = (a: Complex) => (a.im === 0 ? complex(Math.sin(a.re)) : div(sinh(mul(I, a)), I));
const cos = (a: Complex) => (a.im === 0 ? complex(Math.cos(a.re)) : cosh(mul(I, a)));
const asin = (a: Complex) => neg(mul(I, log(add(mul(I, a), sqrt(sub(ONE, mul(a, a)))))));
const acos = (a: Complex) => sub(complex(Math.PI / 2), asin(a));
const atan = (a: Complex) => mul(half(I), sub(log(sub(ONE, mul(I, a))), log(add(ONE, mul(I, a)))));

/** Functions of one argument by name. */
export const functions: Record<string, (a: Complex) => Complex> = {
  sin,
  cos,
  tan: (a) => div(sin(a), cos(a)),
  cot: (a) => div(cos(a), sin(a)),
  sec: (a) => div(ONE, cos(a)),
  csc: (a) => div(ONE, sin(a)),
  arcsin: asin,
  asin,
  arccos: acos,
  acos,
  arctan: atan,
  atan,
  sinh,
  cosh,
  tanh: (a) => div(sinh(a), cosh(a)),
  exp,
  ln: log,
  lg: (a) => div(log(a), complex(Math.LN10)),
  abs: (a) => complex(abs(a)),
  floor: (a) => complex(a.im === 0 ? Math.floor(a.re) : Number.NaN),
  ceil: (a) => complex(a.im === 0 ? Math.ceil(a.re) : Number.NaN),
};
