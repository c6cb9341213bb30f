// `nsa config`: what a recipe may hold, and what it resolves to.
import { explainConfig, loadConfig } from "@nsa/core";
import { loadStage } from "./stages.ts";

export async function explain(stage: string, section: string): Promise<void> {
  const { schema } = await loadStage(stage);
  for (const field of explainConfig(schema as never, section)) {
    console.log(
      Object.values(field)
        .filter((v) => v !== undefined && v !== "")
        .map(String)
        .join("  "),
    );
  }
}

export async function printConfig(stage: string, file: string | undefined, set: string[]): Promise<void> {
  const { schema } = await loadStage(stage);
  process.stdout.write(loadConfig(schema as never, file ?? null, { set }).yaml);
}
