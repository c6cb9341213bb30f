// Checks of what a checkpoint holds for its owner, before the owner takes it up: the form of the state, and that it belongs to the data
// and the step that it is used with.
import type { z } from "zod";
import { firstComplaint } from "./config/plain-words.ts";
import { ExitCode, NsaError } from "./errors.ts";

/** The state of `owner` as its schema has it. Throws NsaError `state_invalid` (exit 3). */
export function parseState<T>(owner: string, schema: z.ZodType<T>, state: unknown): T {
  const parsed = schema.safeParse(state);
  if (parsed.success) return parsed.data;
  const { path, why } = firstComplaint(parsed.error, state);
  throw new NsaError({
    code: "state_invalid",
    what: `the saved state of ${owner} cannot be used`,
    why: path === "" ? why : `${path}: ${why}`,
    fix: "use an earlier checkpoint: --resume takes the path of one, too",
    exitCode: ExitCode.data,
  });
}

/** Throws NsaError `data_changed` (exit 3) where a place among `saved` items is to be found again among `found`. */
export function refuseOtherCount(items: string, saved: number | undefined, found: number): void {
  if (saved === undefined || saved === found) return;
  throw new NsaError({
    code: "data_changed",
    what: `the data has ${found} ${items}, and the checkpoint was saved with ${saved}`,
    why: "the order of the data depends on their number: the resumed run would see others than the unbroken one",
    fix: "put the data back as they were, or start a new run from the checkpoint",
    exitCode: ExitCode.data,
  });
}
