// The loss of a value model: squared errors against returns, the change of a value clipped as PPO does.
import type { ScalarOutputs } from "@nsa/model";
import type { LossContext, LossFunction } from "@nsa/train";

/**
 * ½·max((V − R)², (V_old + clamp(V − V_old, ±clip) − R)²), weighted as the policy's tokens are; columns `old_value` and `return`. A clip
 * of 0 leaves values free.
 */
export function valueLoss(clip: number): LossFunction<LossContext<ScalarOutputs>> {
  return Object.assign(
    (_: unknown, { math: m, value, column, weight, inverseWeightSum }: LossContext<ScalarOutputs>) => {
      const [old, target] = [column("old_value"), column("return")];
      const free = m.square(m.sub(value, target));
      const held = m.add(old, m.clamp(m.sub(value, old), -clip, clip));
      const error = clip > 0 ? m.max(free, m.square(m.sub(held, target))) : free;
      return { loss: m.mul(m.mul(m.sum(m.mul(error, weight)), inverseWeightSum), 0.5) };
    },
    { static: true as const },
  );
}
