// What diagnoses need of a run besides its recipe and figures.
import type { Tokenizer } from "@nsa/data";
import type { ModelConfig } from "@nsa/model";
import { splitStops } from "@nsa/tasks";
import type { GrpoConfig } from "../config.ts";
import type { RunFacts } from "./rule.ts";

export function factsOf(
  tokenizer: Tokenizer,
  { rollout }: Pick<GrpoConfig, "rollout">,
  { dtype }: Pick<ModelConfig, "dtype">,
): RunFacts {
  const name = (id: number) => JSON.stringify(tokenizer.decode([id], { special: true }));
  const { stopIds, stopStrings } = splitStops(tokenizer, rollout.stop);
  return {
    ends: [...stopIds.map(name), ...stopStrings.map((text) => JSON.stringify(text))],
    ordinaryEnds: tokenizer.eosIds.filter((id) => !tokenizer.isSpecial(id)).map(name),
    dtype,
  };
}
