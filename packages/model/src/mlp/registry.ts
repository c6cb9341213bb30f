// The MLP kinds by name. A plugin registers its own beside these.
import { Registry } from "@nsa/core";
import type { MlpKind } from "./kind.ts";
import { swiglu } from "./swiglu.ts";

export const mlpKinds = new Registry<MlpKind>("mlp", {
  needs: { weights: "function", forward: "function", memory: "function" },
}).register(swiglu);
