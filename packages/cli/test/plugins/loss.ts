// A plugin for tests: the importance ratio times the advantage, never clipped.
import type { Plugin } from "@nsa/core";
import type { PolicyLossKind } from "@nsa/rl";

export default {
  kind: "loss",
  name: "unclipped",
  ratioOver: "token",
  objective: (m, { logp, oldLogp, advantage }) => m.mul(m.exp(m.sub(logp, oldLogp)), advantage),
} satisfies Plugin<"loss", PolicyLossKind>;
