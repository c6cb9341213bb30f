// A reward from a file of the user's: a function of one output, or an object whose `scoreBatch` scores a batch of them.
import { ExitCode, loadModule, NsaError } from "@nsa/core";
import {
  type BatchReward,
  type OutputVerdict,
  oneLine,
  perOutput,
  type RewardKind,
  type Scored,
  untilInterrupted,
} from "./kind.ts";

function invalid(file: string, why: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "reward_file_invalid",
    what: `reward file ${file}`,
    why,
    fix: "export default a function ({prompt, completion, answer}) => number, or {scoreBatch(outputs, {step, group})}",
    exitCode: ExitCode.usage,
    cause,
  });
}

async function load(file: string, interrupted?: () => boolean): Promise<BatchReward> {
  let exported: unknown;
  try {
    const exports = await loadModule(file);
    exported = exports.default ?? exports;
  } catch (cause) {
    throw invalid(file, oneLine(cause), cause);
  }
  const reward =
    typeof exported === "function"
      ? perOutput(exported as (s: Scored) => OutputVerdict, interrupted)
      : (exported as BatchReward | null);
  if (typeof reward?.scoreBatch === "function")
    return {
      ...(reward.single ? { single: true } : {}),
      scoreBatch: (outputs, context) =>
        untilInterrupted(Promise.resolve(reward.scoreBatch(outputs, context)), interrupted),
      close: () => reward.close?.(),
    };
  throw invalid(file, "its default export is no function and has no scoreBatch");
}

export const custom: RewardKind = {
  name: "custom",
  check({ file }) {
    if (file === "") throw invalid(file, "rewards.file is not set");
  },
  open: ({ file }, { interrupted }) => load(file, interrupted),
};
