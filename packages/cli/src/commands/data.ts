// `nsa data build`: the corpus loop from a recipe.
import { loadConfig } from "@nsa/core";
import { BuildConfig, buildCorpus } from "@nsa/data";

export async function buildData(file: string, options: { set: string[] }): Promise<number> {
  const { config } = loadConfig(BuildConfig as never, file, options) as { config: never };
  const report = await buildCorpus(config, {});
  console.log(JSON.stringify(report, null, 1));
  return 0;
}
