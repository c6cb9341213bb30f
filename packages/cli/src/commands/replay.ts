// `nsa replay`: a recorded step's update again from disk, and what another reward would have changed.
import { counted, ExitCode, findRun, loadConfig, NsaError, recipeAt } from "@nsa/core";
import { type GrpoConfig, type ReplayResult, type RewardChange, replayStep } from "@nsa/rl";
import { loadPluginsOfRecipe } from "../plugins/load.ts";
import { figure } from "../view/format.ts";
import { loadStage } from "./stages.ts";

export interface ReplayCommand {
  runs: string;
  device: string;
  step: number;
  setReward: string[];
  json?: boolean;
}

/** Throws NsaError `reward_change_invalid` (exit 2). */
function changeOf(text: string): RewardChange {
  const [, id, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (id && value?.trim() && Number.isFinite(Number(value))) return { id: id.trim(), value: Number(value) };
  throw new NsaError({
    code: "reward_change_invalid",
    what: `--set-reward ${text}`,
    why: "it is not ID=NUMBER",
    fix: "write a reward's label and its weight, e.g. --set-reward format=0, or an output's number and its reward, e.g. --set-reward 3=1",
    exitCode: ExitCode.usage,
  });
}

const oneLine = (text: string) => text.replace(/\s+/g, " ").trim().slice(0, 60);
const orDash = (x: number | null) => (x === null ? "–" : figure(x));

function print({ step, from, gradients, weights, norm, changed }: ReplayResult): void {
  console.log(
    `step ${step}\tfrom the checkpoint of step ${from}, ${counted(step - from - 1, "step")} applied before it`,
  );
  console.log(`gradients\t${gradients.join(", ") || "none"}\tequal to the run's, bit for bit`);
  console.log(`weights after\t${weights}\tequal to the run's, bit for bit`);
  console.log(`gradient norm\t${figure(norm)}`);
  if (!changed) return;
  console.log(
    `with the other reward\tgradient norm ${figure(changed.norm)}\tcosine ${figure(changed.cosine)}`,
  );
  const moved = changed.outputs.filter((o) => o.advantage !== o.newAdvantage);
  console.log(`advantages that change\t${moved.length} of ${changed.outputs.length}`);
  for (const o of moved)
    console.log(
      `  #${o.output}\tquestion ${o.group}\treward ${orDash(o.reward)} → ${orDash(o.newReward)}\tadvantage ${figure(o.advantage)} → ${figure(o.newAdvantage)}\t${oneLine(o.completion)}`,
    );
}

async function loadedRecipe(path: string): Promise<GrpoConfig> {
  await loadPluginsOfRecipe(path, { resumed: true });
  const { schema } = await loadStage("grpo");
  return (loadConfig(schema as never, path) as { config: GrpoConfig }).config;
}

/** The recipe of each step that is asked for; those of other steps may name keys or plugins that are no longer there. */
function recipesOf(runDir: string): (step: number) => Promise<GrpoConfig> {
  const recipes = new Map<string, Promise<GrpoConfig>>();
  return (step) => {
    const path = recipeAt(runDir, step);
    const recipe = recipes.get(path) ?? loadedRecipe(path);
    recipes.set(path, recipe);
    return recipe;
  };
}

/** Throws as `replayStep`, NsaError `reward_change_invalid` (exit 2), and for a run of another stage. */
export async function replayRun(which: string, options: ReplayCommand): Promise<void> {
  const changes = options.setReward.map(changeOf);
  const run = findRun(options.runs, which, "grpo");
  const at = recipesOf(run.path);
  const log = (text: string, level = "info") => {
    if (!options.json || level === "warn") console.error(level === "warn" ? `warning: ${text}` : text);
  };
  const { runs: _, json, setReward: __, ...rest } = options;
  const result = await replayStep(await at(options.step), {
    ...rest,
    runDir: run.path,
    changes,
    log,
    recipeAt: at,
  });
  if (json) console.log(JSON.stringify(result));
  else print(result);
}
