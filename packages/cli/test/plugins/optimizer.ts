// A plugin for tests: descent along the sign of the momentum, x / (|x| + ε) in place of the sign.
import type { Plugin } from "@nsa/core";
import type { OptimizerKind } from "@nsa/train";

const [DIV, ABS] = [3, 7];

export default {
  kind: "optimizer",
  name: "sign_momentum",
  onDevice: false,
  buffers: (_config, master) => ({ momentum: master }),
  apply({ device, parameters, config, buffers }, lr) {
    using _ = device.scope();
    const { flat, gradients } = parameters;
    const momentum = buffers.momentum!;
    device.run("add", {
      a: momentum,
      b: gradients!,
      y: momentum,
      alpha: config.beta1,
      beta: 1 - config.beta1,
    });
    const size = device.empty(momentum.shape, momentum.dtype);
    device.run("unary", { x: momentum, y: size, kind: ABS });
    device.run("binary_scalar", { a: size, y: size, value: config.eps, kind: 0 });
    device.run("binary", { a: momentum, b: size, y: size, kind: DIV });
    device.run("add", { a: flat, b: size, y: flat, alpha: 1, beta: -lr });
    parameters.refreshLow();
  },
} satisfies Plugin<"optimizer", OptimizerKind>;
