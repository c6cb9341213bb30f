// The reward model of iterative GRPO (DeepSeekMath, algorithm 1): records the policy's outputs with the rule's verdict, and after each
// iteration trains the model on with a share of history.
//
// An iteration is settled when its result.json is there; a run that was killed before makes it again from the recorded outputs, with the
// same bits. The last iteration leaves the model as it is: no rollout would use another.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, configYaml, ExitCode, loadConfig, NsaError, Rng, readJsonl, turn } from "@nsa/core";
import { expandInputs } from "@nsa/data";
import { readRewardFile, type Transformer } from "@nsa/model";
import { readRecords } from "@nsa/tasks";
import type { RewardConfig } from "../../../rewards/config.ts";
import { checkRewardRecipe, type RewardModelConfig, rewardModelSchema } from "../../reward/config.ts";
import { questionOf } from "../../reward/examples.ts";
import { isHeldOut } from "../../reward/held-out-questions.ts";
import { type LabelledRecord, RecordReader } from "../../reward/records.ts";
import { Reservoir } from "../../reward/replay.ts";
import { retrainRewardModel } from "../../reward/retrain.ts";
import { sampleRow } from "../../sample/rows.ts";
import type { GrpoConfig } from "../config.ts";
import type { Rollout } from "../rollout.ts";
import { IterationFiles, type Line } from "./files.ts";
import type { RetrainingParts } from "./parts.ts";
import { isRewardModel } from "./plan.ts";
import { labelSteps } from "./shepherd.ts";

const FRESH_STREAM = 66;
/** Held-out outputs of an iteration that are measured, at most. */
const HELD_OUT_ROWS = 2000;

/** What an iteration can label: outputs by the task's rule, or steps by roll-outs. Throws NsaError `reward_recipe_invalid` (exit 2). */
function checkLabels(file: string, { kind, labels }: RewardModelConfig): void {
  const byRollouts = labels.startsWith("shepherd");
  if (kind === "process" ? byRollouts : labels === "rule") return;
  throw new NsaError({
    code: "reward_recipe_invalid",
    what: `${file}: labels ${labels} in iterations`,
    why:
      kind === "process"
        ? "the steps of an iteration's outputs are labelled by roll-outs of the policy"
        : "an iteration's outputs are labelled by the task's rule",
    fix:
      kind === "process"
        ? "set labels: shepherd_soft or shepherd_hard"
        : "set labels: rule, and history to match",
    exitCode: ExitCode.usage,
  });
}

export class RewardRetraining {
  private readonly files: IterationFiles;
  private readonly settings: NonNullable<NonNullable<GrpoConfig["iterations"]>["rewardModel"]>;
  private readonly steps: number;
  private readonly reader: RecordReader;

  private constructor(
    private readonly parts: RetrainingParts,
    private readonly recipe: RewardModelConfig,
    private readonly first: string,
  ) {
    const { iterations } = parts.config;
    this.files = new IterationFiles(join(parts.ctx.runDir, "reward-model"));
    this.settings = iterations!.rewardModel!;
    this.steps = iterations!.steps;
    this.reader = new RecordReader(recipe, parts.tokenizer, recipe.train.seqLen);
  }

  /**
   * Undefined where the recipe retrains no reward model. `step`: the last one done. The reward model's recipe is copied into the run
   * folder, and resumes read the copy. Throws NsaError `reward_recipe_invalid`, `config_*` (exit 2), `reward_record_invalid`, `data_*`
   * (exit 3).
   */
  static open(parts: RetrainingParts, step: number): RewardRetraining | undefined {
    const { config, ctx } = parts;
    const settings = config.iterations?.rewardModel;
    if (!settings) return undefined;
    const folder = join(ctx.runDir, "reward-model");
    const copy = join(folder, "recipe.yaml");
    const { config: recipe } = loadConfig(rewardModelSchema, existsSync(copy) ? copy : settings.recipe);
    checkRewardRecipe(recipe);
    checkLabels(settings.recipe, recipe);
    const reward = config.rewards.find(isRewardModel)!;
    const { kind } = readRewardFile(reward.checkpoint);
    if (kind !== recipe.kind)
      throw new NsaError({
        code: "reward_recipe_invalid",
        what: `${settings.recipe}: kind ${recipe.kind}`,
        why: `the reward model ${reward.checkpoint} is of the kind ${kind}`,
        fix: "name the recipe that it was trained by",
        exitCode: ExitCode.usage,
      });
    mkdirSync(folder, { recursive: true });
    if (!existsSync(copy)) atomicWriteFile(copy, configYaml(rewardModelSchema, recipe));
    const retraining = new RewardRetraining(parts, recipe, reward.checkpoint);
    retraining.files.rewind(step, retraining.steps);
    retraining.requireRows(step);
    // A file that cannot be read ends the run here and not after its first iteration.
    if (retraining.over(step) === 0) retraining.firstHistory();
    return retraining;
  }

  /**
   * The reward model is retrained on all outputs of its iteration: those of the iteration that a resumed run is within, or that is over and
   * not settled, must be there. The last one trains no model. Throws NsaError `iteration_damaged` (exit 3).
   */
  private requireRows(step: number): void {
    const { files, steps, parts } = this;
    if (step === 0) return;
    const iteration = Math.ceil(step / steps);
    if (iteration === parts.config.iterations!.count || files.model(iteration) !== undefined) return;
    const counts = new Map<number, number>();
    for (const row of readJsonl<{ step?: unknown }>(join(parts.ctx.runDir, "samples.jsonl")))
      if (typeof row.step === "number") counts.set(row.step, (counts.get(row.step) ?? 0) + 1);
    files.requireSteps(iteration, (iteration - 1) * steps + 1, step, counts);
    // What earlier iterations left is read at the end of this one; a damaged file ends the run here.
    for (let earlier = 1; earlier < iteration; earlier++) files.lines(earlier, "held-out");
    if (iteration > 1) this.history(iteration - 1);
  }

  /** Iterations that are over after a step. */
  private over(step: number): number {
    return Math.floor(step / this.steps);
  }

  /** The recipe's rewards with the model that is in force after a step; at the end of an iteration that is not settled, the one before. */
  rewards(step: number): RewardConfig[] {
    const iteration = this.over(step);
    const settled = iteration === 0 || this.files.model(iteration) !== undefined;
    if (!settled && step % this.steps !== 0) throw this.missing(iteration);
    const checkpoint = this.modelAfter(settled ? iteration : iteration - 1);
    return this.parts.config.rewards.map((r) => (isRewardModel(r) ? { ...r, checkpoint } : r));
  }

  /** Notes the outputs of a step with the rule's verdict. */
  record({ outputs }: Rollout, step: number): void {
    const iteration = this.over(step - 1) + 1;
    mkdirSync(this.files.folder(iteration), { recursive: true });
    const file = this.files.outputs(iteration);
    outputs.forEach(({ asked, sample, row }, i) => {
      const { reward, completion } = row;
      file.append({
        ...sampleRow(step, i, asked, sample, completion, reward),
        policy_step: (iteration - 1) * this.steps,
      });
    });
    file.close();
  }

  /**
   * Retrains the reward model where the step ends an iteration that is not settled. False where it was interrupted.
   * Throws NsaError `reward_model_missing` (exit 3) where it can no longer be made.
   */
  async settle(step: number, policy: Transformer): Promise<boolean> {
    const iteration = this.over(step);
    if (iteration === 0 || this.files.model(iteration)) return true;
    if (step % this.steps !== 0 || !existsSync(this.files.outputs(iteration).path))
      throw this.missing(iteration);
    return this.retrain(iteration, step, policy);
  }

  private modelAfter(iteration: number): string {
    if (iteration === 0) return this.first;
    const model = this.files.model(iteration);
    if (model === undefined) throw this.missing(iteration);
    return model;
  }

  private missing(iteration: number): NsaError {
    return new NsaError({
      code: "reward_model_missing",
      what: `the reward model of iteration ${iteration} is not in ${this.files.dir}`,
      why: "a step after that iteration is to be resumed, and its outputs are no longer all there",
      fix: "put the folder back, or resume from a checkpoint of before the iteration's end by its path",
      exitCode: ExitCode.data,
    });
  }

  private async retrain(iteration: number, step: number, policy: Transformer): Promise<boolean> {
    const { parts, settings, recipe, files } = this;
    const { ctx, config, device } = parts;
    const seed = config.seed + iteration;
    const lines = files.lines(iteration, "outputs");
    const held = (line: Line) => {
      const { prompt_ids: prompt } = JSON.parse(line) as { prompt_ids: number[] };
      return isHeldOut(prompt.join(), recipe.heldOut);
    };
    const chosen = this.draw(
      lines.filter((line) => !held(line)),
      seed,
    );
    const heldOut = lines.filter(held).slice(0, HELD_OUT_ROWS);
    const label = async (some: readonly Line[]) =>
      recipe.kind === "process"
        ? labelSteps(some, { ...parts, policy, rollouts: settings.rollouts, seed })
        : some;
    const [fresh, measured] = [await label(chosen), await label(heldOut)];
    if (!fresh || !measured) return false;
    const history = this.history(iteration - 1);
    files.writeHeldOut(iteration, measured);
    const earlier = Array.from({ length: iteration }, (_, i) => files.lines(i + 1, "held-out")).flat();
    const metrics = await retrainRewardModel({
      device,
      from: this.modelAfter(iteration - 1),
      to: files.modelFolder(iteration),
      recipe,
      fresh: this.read(fresh),
      history: this.read(history.items),
      heldOut: this.read(earlier),
      replayShare: settings.replayShare,
      seed,
      step,
      interrupted: async () => {
        await turn();
        return ctx.interrupted();
      },
    });
    if (metrics === undefined) return false;
    for (const line of fresh) history.add(line);
    files.writeHistory(iteration, history);
    if (metrics === "nothing") {
      ctx.log(
        `iteration ${iteration}: all labels of its outputs are equal, so the reward model stays as it is`,
        "warn",
      );
      files.writeModel(iteration, this.modelAfter(iteration - 1));
    } else {
      ctx.emit({ type: "eval", step, metrics });
      files.writeModel(iteration, files.modelFolder(iteration));
    }
    return true;
  }

  /** At most `fresh` of the lines, drawn by seed, in their order. */
  private draw(lines: readonly Line[], seed: number): Line[] {
    const { fresh = lines.length } = this.settings;
    if (fresh >= lines.length) return [...lines];
    const order = new Rng(seed, FRESH_STREAM).permutation(lines.length).slice(0, fresh).sort();
    return Array.from(order, (i) => lines[i]!);
  }

  /** History after an iteration; before the first one, what the recipe names. */
  private history(iteration: number): Reservoir<Line> {
    if (iteration === 0) return this.firstHistory();
    const found = this.files.history(iteration, this.settings.reservoir, this.parts.config.seed);
    if (!found) throw this.missing(iteration);
    return found;
  }

  /**
   * What history begins with: the records of the recipe's files that can be trained on, without those of held-out questions.
   * Throws NsaError `reward_record_invalid`, `data_*` (exit 3) with the record's place.
   */
  private firstHistory(): Reservoir<Line> {
    const { settings, recipe, reader } = this;
    const { seed } = this.parts.config;
    const history = new Reservoir<Line>(settings.reservoir, seed);
    for (const path of expandInputs(settings.history.length > 0 ? settings.history : recipe.data.files))
      for (const { record, place } of readRecords(path)) {
        const read = reader.read(record, place);
        if (typeof read === "string" || isHeldOut(questionOf(read), recipe.heldOut)) continue;
        history.add(JSON.stringify(record));
      }
    return history;
  }

  private read(lines: readonly Line[]): LabelledRecord[] {
    return lines.flatMap((line, i) => {
      const record = this.reader.read(JSON.parse(line), `record ${i + 1} of the reward model's outputs`);
      return typeof record === "string" ? [] : [record];
    });
  }
}
