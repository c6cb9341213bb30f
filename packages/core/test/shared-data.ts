// Where the optional folder of real data lies: $NSA_DATA, or shared/data beside the workspace. Tests and benches that want it ask here.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The workspace: the nearest folder above this file with a pnpm-workspace.yaml. */
function workspace(): string {
  for (let dir = import.meta.dirname; dir !== dirname(dir); dir = dirname(dir))
    if (existsSync(join(dir, "pnpm-workspace.yaml"))) return dir;
  throw new Error("this file lies in no workspace");
}

export const sharedData = process.env.NSA_DATA ?? join(workspace(), "../shared/data");
export const hasSharedData = existsSync(sharedData);
