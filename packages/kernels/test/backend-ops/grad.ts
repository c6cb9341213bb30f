// Mode `grad`: backwards of the reference against central differences of its forwards, in f64.
import type { Device, Tensor } from "../../src/index.ts";
import { normal } from "./case.ts";

type Tensors = Record<string, Tensor>;

export interface GradCase {
  name: string;
  /** Differentiable inputs, by name: shape and values. */
  inputs: Record<string, { shape: number[]; values: Float64Array }>;
  /** Differentiable outputs, by name. */
  outputs: Record<string, number[]>;
  /** Fills the outputs; whatever else it returns is handed to the backward. */
  forward(device: Device, inputs: Tensors, outputs: Tensors): Tensors;
  /** Fills (from zero) a gradient per input, named like it. */
  backward(
    device: Device,
    inputs: Tensors,
    outputs: Tensors,
    saved: Tensors,
    dout: Tensors,
    grads: Tensors,
  ): void;
}

function tensors(device: Device, shapes: Record<string, number[]>, value: number): Tensors {
  return Object.fromEntries(Object.entries(shapes).map(([k, s]) => [k, device.full(s, "f64", value)]));
}

/** Loss = Σ over outputs of weight·output. */
function loss(c: GradCase, device: Device, inputs: Tensors, weights: Record<string, Float64Array>): number {
  using scope = device.scope();
  void scope;
  const outputs = tensors(device, c.outputs, Number.NaN);
  c.forward(device, inputs, outputs);
  let sum = 0;
  for (const [name, w] of Object.entries(weights)) {
    const y = outputs[name]!.read();
    for (let i = 0; i < w.length; i++) sum += w[i]! * y[i]!;
  }
  return sum;
}

/** Relative error of each input's gradient, ‖analytic − numeric‖/‖numeric‖, over up to 24 elements. */
export function gradErrors(c: GradCase, device: Device): Record<string, number> {
  using scope = device.scope();
  void scope;
  const inputs: Tensors = {};
  const shapes: Record<string, number[]> = {};
  for (const [name, { shape, values }] of Object.entries(c.inputs)) {
    inputs[name] = device.from(values, shape, "f64");
    shapes[name] = shape;
  }
  const weights: Record<string, Float64Array> = {};
  const dout: Tensors = {};
  Object.entries(c.outputs).forEach(([name, shape], i) => {
    weights[name] = normal(
      77 + i,
      shape.reduce((a, b) => a * b, 1),
    );
    dout[name] = device.from(weights[name]!, shape, "f64");
  });
  const outputs = tensors(device, c.outputs, Number.NaN);
  const saved = c.forward(device, inputs, outputs);
  const grads = tensors(device, shapes, 0);
  c.backward(device, inputs, outputs, saved, dout, grads);

  const errors: Record<string, number> = {};
  for (const [name, { values }] of Object.entries(c.inputs)) {
    const analytic = grads[name]!.read();
    const step = Math.max(1, Math.floor(values.length / 24));
    let [diff, norm] = [0, 0];
    for (let i = 0; i < values.length; i += step) {
      const h = 1e-5 * Math.max(1, Math.abs(values[i]!));
      const probe = (x: number) => {
        device.write(inputs[name]!, Float64Array.of(x), i);
        return loss(c, device, inputs, weights);
      };
      const numeric = (probe(values[i]! + h) - probe(values[i]! - h)) / (2 * h);
      probe(values[i]!);
      diff += (analytic[i]! - numeric) ** 2;
      norm += numeric ** 2;
    }
    errors[name] = Math.sqrt(diff / norm);
  }
  return errors;
}
