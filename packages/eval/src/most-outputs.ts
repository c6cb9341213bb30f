// A bound on outputs that are held at once, so that a slip in a recipe ends with its name and not with a full memory.
import { ExitCode, NsaError } from "@nsa/core";

const MOST = 2 ** 24;

/** Throws an NsaError of this code (exit 2) that names the first product of settings above 2^24 outputs. */
export function refuseTooManyOutputs(
  code: string,
  products: readonly (readonly [settings: string, outputs: number])[],
): void {
  for (const [what, outputs] of products)
    if (outputs > MOST)
      throw new NsaError({
        code,
        what,
        why: `${outputs} outputs at once; at most ${MOST} can be`,
        fix: "lower one of the two",
        exitCode: ExitCode.usage,
      });
}
