// Expressions over [T]-sized tensors for losses: elementwise, reductions and segments, each with its gradient.
//
// A loss reads like its formula: `const m = new TensorMath(tape); m.mul(m.exp(m.sub(logp, oldLogp)), advantage)`.
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";

const unaryKinds = {
  neg: 0,
  exp: 1,
  log: 2,
  sigmoid: 3,
  square: 4,
  sqrt: 5,
  reciprocal: 6,
  abs: 7,
  tanh: 8,
  silu: 9,
  relu: 10,
  logSigmoid: 11,
} as const;
const binaryKinds = { add: 0, sub: 1, mul: 2, div: 3, min: 4, max: 5, gt: 6, ge: 7, eq: 8 } as const;
const reduceKinds = { sum: 0, max: 1, min: 2 } as const;

/** A tensor of the same size, a tensor of one element, or a number. */
export type Operand = Tensor | number;

export class TensorMath {
  constructor(readonly tape: Tape) {}

  neg = (x: Tensor) => this.unary("neg", x);
  exp = (x: Tensor) => this.unary("exp", x);
  log = (x: Tensor) => this.unary("log", x);
  sigmoid = (x: Tensor) => this.unary("sigmoid", x);
  logSigmoid = (x: Tensor) => this.unary("logSigmoid", x);
  square = (x: Tensor) => this.unary("square", x);
  sqrt = (x: Tensor) => this.unary("sqrt", x);
  abs = (x: Tensor) => this.unary("abs", x);
  tanh = (x: Tensor) => this.unary("tanh", x);
  silu = (x: Tensor) => this.unary("silu", x);
  relu = (x: Tensor) => this.unary("relu", x);
  add = (a: Tensor, b: Operand) => this.binary("add", a, b);
  sub = (a: Tensor, b: Operand) => this.binary("sub", a, b);
  mul = (a: Tensor, b: Operand) => this.binary("mul", a, b);
  div = (a: Tensor, b: Operand) => this.binary("div", a, b);
  /** Elementwise minimum; at ties the gradient goes to a. */
  min = (a: Tensor, b: Operand) => this.binary("min", a, b);
  max = (a: Tensor, b: Operand) => this.binary("max", a, b);
  /** 1 where the comparison holds, else 0; no gradient. */
  gt = (a: Tensor, b: Operand) => this.plain("gt", a, b);
  ge = (a: Tensor, b: Operand) => this.plain("ge", a, b);
  eq = (a: Tensor, b: Operand) => this.plain("eq", a, b);

  /** min(max(x, low), high); no gradient outside. */
  clamp(x: Tensor, low: number, high: number): Tensor {
    return this.min(this.max(x, low), high);
  }

  /** mask·a + (1 − mask)·b for a mask of zeros and ones; a and b must be finite. */
  where(mask: Tensor, a: Tensor, b: Tensor): Tensor {
    return this.add(b, this.mul(this.sub(a, b), mask));
  }

  /** The value without its history. */
  detach(x: Tensor): Tensor {
    const y = x.device.empty(x.shape, x.dtype);
    x.device.run("copy", { x, y });
    return y;
  }

  /** Sum of all elements, [1]. */
  sum(x: Tensor): Tensor {
    const y = this.reduce("sum", x);
    if (this.tape.needs(x)) {
      this.tape.push([y], () => {
        const dx = x.device.full(x.shape, x.dtype, 1);
        x.device.run("binary", { a: dx, b: y.grad!, y: dx, kind: binaryKinds.mul });
        this.tape.accumulate(x, dx);
      });
    }
    return y;
  }

  mean(x: Tensor): Tensor {
    return this.mul(this.sum(x), 1 / x.numel);
  }

  /** Σ w·x / Σ w with w constant, [1]; 0 where all weights are 0. */
  weightedMean(x: Tensor, weight: Tensor): Tensor {
    return this.div(this.sum(this.mul(x, weight)), this.max(this.detach(this.sum(weight)), 1e-30));
  }

  /** Largest element, [1]; no gradient. */
  maximum(x: Tensor): Tensor {
    return this.reduce("max", x);
  }

  /** Sums of x [T] over [cu[i], cu[i+1]), [n]. */
  segmentSum(x: Tensor, cu: Tensor): Tensor {
    const n = cu.numel - 1;
    const y = x.device.empty([n], x.dtype);
    x.device.run("segment_reduce", { x, cu, y, n, kind: reduceKinds.sum });
    if (this.tape.needs(x)) {
      this.tape.push([y], () => {
        const dx = x.device.zeros(x.shape, x.dtype);
        x.device.run("segment_broadcast", { y: y.grad!, cu, x: dx, n });
        this.tape.accumulate(x, dx);
      });
    }
    return y;
  }

  /** y[i] for every t in [cu[i], cu[i+1]); `length` elements. */
  segmentBroadcast(y: Tensor, cu: Tensor, length: number): Tensor {
    const n = cu.numel - 1;
    const x = y.device.zeros([length], y.dtype);
    y.device.run("segment_broadcast", { y, cu, x, n });
    if (this.tape.needs(y)) {
      this.tape.push([x], () => {
        const dy = y.device.empty(y.shape, y.dtype);
        y.device.run("segment_reduce", { x: x.grad!, cu, y: dy, n, kind: reduceKinds.sum });
        this.tape.accumulate(y, dy);
      });
    }
    return x;
  }

  private reduce(kind: keyof typeof reduceKinds, x: Tensor): Tensor {
    const y = x.device.empty([1], x.dtype);
    x.device.run("reduce", { x, y, kind: reduceKinds[kind] });
    return y;
  }

  private unary(name: keyof typeof unaryKinds, x: Tensor): Tensor {
    const kind = unaryKinds[name];
    const y = x.device.empty(x.shape, x.dtype);
    x.device.run("unary", { x, y, kind });
    if (this.tape.needs(x)) {
      this.tape.push([y], () => {
        const dx = x.device.empty(x.shape, x.dtype);
        x.device.run("unary_bwd", { x, y, dy: y.grad!, dx, kind });
        this.tape.accumulate(x, dx);
      });
    }
    return y;
  }

  private plain(name: keyof typeof binaryKinds, a: Tensor, b: Operand): Tensor {
    const y = a.device.empty(a.shape, a.dtype);
    const kind = binaryKinds[name];
    if (typeof b === "number") a.device.run("binary_scalar", { a, y, value: b, kind });
    else a.device.run("binary", { a, b, y, kind });
    return y;
  }

  private binary(name: "add" | "sub" | "mul" | "div" | "min" | "max", a: Tensor, b: Operand): Tensor {
    if (typeof b !== "number" && a.numel === 1 && b.numel > 1) {
      throw new Error(`${name}: the operand of one element goes second`);
    }
    const y = this.plain(name, a, b);
    const right = typeof b === "number" ? undefined : b;
    if (!this.tape.needs(a, right)) return y;
    this.tape.push([y], () => {
      const dy = y.grad!;
      if (a.requiresGrad) this.tape.accumulate(a, this.leftGradient(name, a, b, dy));
      if (right?.requiresGrad) {
        const db = this.rightGradient(name, a, right, y, dy);
        this.tape.accumulate(right, right.numel === db.numel ? db : this.reduce("sum", db));
      }
    });
    return y;
  }

  private leftGradient(name: string, a: Tensor, b: Operand, dy: Tensor): Tensor {
    if (name === "mul" || name === "div") return this.plain(name, dy, b);
    if (name === "min") return this.plain("mul", dy, this.plain("eq", this.plain("min", a, b), a));
    if (name === "max") return this.plain("mul", dy, this.plain("ge", a, b));
    return this.detach(dy);
  }

  private rightGradient(name: string, a: Tensor, b: Tensor, y: Tensor, dy: Tensor): Tensor {
    const minus = (t: Tensor) => this.plain("mul", t, -1);
    if (name === "sub") return minus(dy);
    if (name === "mul") return this.plain("mul", dy, a);
    if (name === "div") return minus(this.plain("div", this.plain("mul", dy, y), b));
    if (name === "min") return this.plain("mul", dy, this.plain("gt", a, b));
    if (name === "max") {
      const taken = this.plain("ge", a, b);
      return this.plain("mul", dy, this.plain("add", minus(taken), 1));
    }
    return this.detach(dy);
  }
}
