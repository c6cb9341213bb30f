// A plugin for tests: twice DPO's loss, −2·log σ(β·d).
import type { Plugin } from "@nsa/core";
import type { PreferenceLossKind } from "@nsa/rl";

export default {
  kind: "preference_loss",
  name: "twice",
  loss: (m, margin, beta) => m.mul(m.logSigmoid(m.mul(margin, beta)), -2),
} satisfies Plugin<"preference_loss", PreferenceLossKind>;
