// A tiny base model that looks links up, and recipes with its environment, for the tests of whole runs with tools.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseConfig } from "@nsa/core";
import { pretrainSchema, runPretrain } from "@nsa/train";
import { runStage } from "./grpo-fixture.ts";

/** Most of its outputs look a number up and answer what that gives. */
export async function makeToolBase(root: string): Promise<string> {
  const source = { family: "links", difficulty: 1, documents: 1500, template: "{question}:", right_share: 0 };
  const config = parseConfig(
    pretrainSchema,
    {
      data: { sources: [{ ...source, tool_share: 0.9 }], vocab_size: 300 },
      model: {
        ...{ attention: "full", d_model: 48, num_layers: 2, num_heads: 2, num_kv_heads: 2, d_ff: 96 },
        max_seq_len: 96,
      },
      train: {
        ...{ steps: 250, micro_batch_tokens: 768, seq_len: 64, optimizer: { lr: 5e-3 } },
        ...{ eval_every: 0, save_every: 0 },
      },
    } as never,
    "test",
  );
  return (await runStage(root, "base", runPretrain, config)).result.outputs.checkpoint!;
}

/** The table of links with a pause in each call, which names itself on stdout; it stays open for SIGKILL. */
export function slowLookup(root: string): string {
  const file = join(root, "slow-lookup.ts");
  writeFileSync(
    file,
    `export default {
  tools: [{ name: "lookup", description: "", parameters: { type: "object", properties: { key: {} }, required: ["key"] } }],
  reset: (problem, seed) => ({ calls: 0, seed }),
  step: async (state, { arguments: { key } }) => {
    process.stdout.write("calling\\n");
    await new Promise((resolve) => setTimeout(resolve, 3 + (Number(key) % 5)));
    return { state: { ...state, calls: state.calls + 1 }, output: String((Number(key) * 7 + state.seed) % 10) };
  },
};`,
  );
  return file;
}

/** Pays for even digits in what the model and the tool wrote, so that calls are neither shunned nor sought. */
export function evenDigits(root: string): string {
  const file = join(root, "even-digits.ts");
  writeFileSync(
    file,
    "export default ({ completion }) => (completion.match(/[02468]/g) ?? []).length / 8;\n",
  );
  return file;
}

export const toolSettings = (checkpoint: string) => ({
  init: { checkpoint },
  task: { family: "links", difficulty: 1, template: "{question}:" },
});
