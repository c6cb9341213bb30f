// What plugins share with the process that loads them: its own packages, and the schema library of their settings.
import { shareModules, stageKinds } from "@nsa/core";
import { loadStage, STAGES } from "../commands/stages.ts";

export const MODULES: Readonly<Record<string, () => Promise<unknown>>> = {
  "@nsa/core": () => import("@nsa/core"),
  "@nsa/data": () => import("@nsa/data"),
  "@nsa/eval": () => import("@nsa/eval"),
  "@nsa/kernels": () => import("@nsa/kernels"),
  "@nsa/model": () => import("@nsa/model"),
  "@nsa/report": () => import("@nsa/report"),
  "@nsa/rl": () => import("@nsa/rl"),
  "@nsa/serve": () => import("@nsa/serve"),
  "@nsa/tasks": () => import("@nsa/tasks"),
  "@nsa/train": () => import("@nsa/train"),
  zod: () => import("zod"),
};

/** Makes this process able to load plugins; the packages are loaded with the first one. */
export function hostPlugins(): void {
  shareModules(async () => {
    // Their names are taken, too.
    for (const name of STAGES) stageKinds.register(await loadStage(name));
    return Object.fromEntries(
      await Promise.all(Object.entries(MODULES).map(async ([name, load]) => [name, await load()] as const)),
    );
  });
}
