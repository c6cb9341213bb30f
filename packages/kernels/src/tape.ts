// Reverse-mode autograd: ops push a closure, backward() runs them in reverse.
//
// Contract: an op's closure reads `out.grad` and adds to its inputs' gradients through `tape.accumulate`; it is skipped
// when no gradient reached its output. Parameters own a persistent `grad` tensor into which native ops accumulate.
import type { Tensor } from "./device/tensor.ts";

export class Tape {
  private nodes: { outputs: Tensor[]; backward: () => void; mark?: true }[] = [];
  /** False inside no-grad forwards: ops push nothing. */
  readonly enabled: boolean;

  constructor(enabled = true) {
    this.enabled = enabled;
  }

  /** True when the op has to record itself for these inputs. */
  needs(...inputs: (Tensor | undefined)[]): boolean {
    return this.enabled && inputs.some((t) => t?.requiresGrad);
  }

  /** Records an op; its outputs require a gradient from now on. */
  push(outputs: Tensor[], backward: () => void): void {
    for (const t of outputs) t.requiresGrad = true;
    this.nodes.push({ outputs, backward });
  }

  /** Calls `reached` in the backward when every op recorded after this has run. */
  mark(reached: () => void): void {
    if (this.enabled) this.nodes.push({ outputs: [], backward: reached, mark: true });
  }

  /** t.grad += g. Takes g over as the gradient when there is none yet; g must be fresh and of t's shape. */
  accumulate(t: Tensor, g: Tensor): void {
    if (!t.requiresGrad) return;
    if (!t.grad) t.grad = g;
    else t.device.run("add", { a: t.grad, b: g, y: t.grad, alpha: 1, beta: 1 });
  }

  /** Gives out's gradient to t as it is: for ops whose gradient is the identity. The last act of a closure. */
  handOver(out: Tensor, t: Tensor): void {
    if (!t.requiresGrad || !out.grad) return;
    if (t.grad) this.accumulate(t, out.grad);
    else {
      t.grad = out.grad;
      out.grad = undefined;
    }
  }

  /** Runs the recorded closures in reverse, starting from the given output gradients, and forgets them. */
  backward(seeds: [output: Tensor, grad: Tensor][]): void {
    const given = new Set(seeds.map(([, g]) => g.handle));
    for (const [t, g] of seeds) this.accumulate(t, g);
    for (let node = this.nodes.pop(); node; node = this.nodes.pop()) {
      if (node.mark || node.outputs.some((t) => t.grad)) node.backward();
      for (const t of node.outputs) {
        // A gradient has one owner: once its op has run nobody reads it again.
        if (t.grad?.isLive && !given.has(t.grad.handle)) t.grad.free();
        t.grad = undefined;
      }
    }
  }
}
