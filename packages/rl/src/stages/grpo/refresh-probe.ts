// Notices a sampler that does not have the trainer's weights. Generator and trainer share them in place, so this finds a bug, and stops
// the run in the step after the weights it should have seen, before anything of that step is saved.
//
// Three checks: (1) one more output is sampled in each step for the same prompt by the same random numbers. If its log-probabilities
// have not moved by a single bit while the trainer's for the same tokens have, the sampler's weights are old, however small the
// learning rate. (2) On the first sampled tokens of a step, sampler and trainer differ by rounding alone. (3) In bf16 the copies that
// the model computes with are the rounded masters.
import { ExitCode, type Metrics, NsaError, packBatch } from "@nsa/core";
import { fingerprint } from "@nsa/kernels";
import { type GeneratedSample, type GenerateRequest, logprobs, type Transformer } from "@nsa/model";
import type { PolicySample } from "./batch.ts";
import type { GrpoConfig } from "./config.ts";
import { type RecordableBatch, scoreAll } from "./learn.ts";
import type { UpdateNotes } from "./update.ts";

const PROBE_TOKENS = 8;
/** Above the request numbers of training and evaluation. */
const PROBE_REQUEST = 2 ** 30;
/** Change of the trainer's log-probabilities, nats, that no rounding makes; smaller ones add up over the steps. */
const MOVED = 1e-4;
/** Tokens that check 2 compares. */
const FIRST_TOKENS = 256;
/** Mean differences, nats, far above those of rounding: below 1e-4 in fp32, some hundredths in bf16. */
const MAX_DIFFERENCE = { fp32: 0.02, bf16: 0.5 } as const;
/** Elements that check 3 rounds at once. */
const CHUNK = 1 << 24;

function stale(what: string, why: string): NsaError {
  return new NsaError({
    code: "sampler_stale",
    what,
    why,
    fix: "this is a bug of nsa, or of a plugin that holds weights: report it; the run can be resumed from its last checkpoint",
    exitCode: ExitCode.bug,
  });
}

interface Seen {
  step: number;
  sampler: GeneratedSample;
  /** The trainer's log-probabilities of the sampler's tokens. */
  trainer: readonly number[];
}

const sameBits = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((x, i) => Object.is(x, b[i]));

export class RefreshProbe {
  readonly request: GenerateRequest;
  private base: Seen | undefined;

  constructor(
    private readonly model: Transformer,
    prompt: readonly number[],
    private readonly config: GrpoConfig,
  ) {
    const { rollout, seed } = config;
    const maxTokens = Math.min(PROBE_TOKENS, rollout.maxTokens);
    this.request = { prompt, n: 1, maxTokens, sampling: rollout, seed, id: PROBE_REQUEST, stopIds: [] };
  }

  /** Check 1, before the step's update. Throws NsaError `sampler_stale` (exit 1). */
  checkMoved(step: number, sampler: GeneratedSample): void {
    const seen = { step, sampler, trainer: this.trainerLogp(sampler.ids) };
    const { base } = this;
    const still =
      base && sameBits(base.sampler.ids, sampler.ids) && sameBits(base.sampler.logp, sampler.logp);
    if (!still) {
      this.base = seen;
      return;
    }
    const moved = Math.max(...seen.trainer.map((x, t) => Math.abs(x - base.trainer[t]!)));
    if (!(moved > MOVED)) return;
    throw stale(
      `step ${step}: the sampler has the weights of step ${base.step}`,
      `for the same prompt and random numbers its log-probabilities are equal bit for bit to those of step ${base.step}, while the trainer's moved by up to ${moved.toPrecision(3)} nats`,
    );
  }

  /** Checks 2 and 3, after the step's updates. Throws NsaError `sampler_stale` (exit 1). */
  checkUpdated(step: number, batch: RecordableBatch, notes: UpdateNotes): void {
    this.checkTokens(step, batch, notes);
    this.checkCopies(step);
  }

  private trainerLogp(ids: readonly number[]): number[] {
    const { prompt } = this.request;
    const all = [...Array.from(prompt), ...ids];
    const batch = packBatch([{ ids: all, weight: 0, isTarget: (index) => index >= prompt.length }]);
    const { logp } = logprobs(this.model, batch, { temperature: this.config.rollout.temperature });
    return Array.from(logp.subarray(prompt.length - 1));
  }

  /**
   * Mean change of the log-probabilities of the step's first tokens by its updates, nats: 0 where nothing was learned, far below 1 where a
   * step is small. Nothing where no output was learned from.
   */
  changeMetrics({ samples }: RecordableBatch, { oldLogp }: UpdateNotes): Metrics {
    const chosen: PolicySample[] = [];
    let tokens = 0;
    for (const sample of samples) {
      if (tokens >= FIRST_TOKENS) break;
      if (!(sample.oldLogp ?? oldLogp.get(sample.id))) continue;
      chosen.push(sample);
      tokens += sample.ids.length;
    }
    if (chosen.length === 0) return {};
    const now = scoreAll((batch, options) => logprobs(this.model, batch, options), chosen, this.config);
    let sum = 0;
    for (const [i, sample] of chosen.entries()) {
      const before = sample.oldLogp ?? oldLogp.get(sample.id)!;
      for (const [t, x] of now[i]!.entries()) sum += Math.abs(x - before[t]!);
    }
    return { "policy/update_change_mean": sum / tokens };
  }

  private checkTokens(step: number, { samples }: RecordableBatch, { oldLogp }: UpdateNotes): void {
    let [sum, tokens] = [0, 0];
    for (const { id, oldLogp: prepared, samplerLogp } of samples) {
      const own = prepared ?? oldLogp.get(id);
      if (!own || tokens >= FIRST_TOKENS) break;
      for (let t = 0; t < samplerLogp.length && tokens < FIRST_TOKENS; t++, tokens++)
        sum += Math.abs(own[t]! - samplerLogp[t]!);
    }
    const limit = MAX_DIFFERENCE[this.model.config.dtype];
    const mean = sum / Math.max(1, tokens);
    if (mean <= limit) return;
    throw stale(
      `step ${step}: sampler and trainer are not the same policy`,
      `their log-probabilities of the step's first ${tokens} tokens differ by ${mean.toPrecision(3)} nats on average; rounding gives less than ${limit}`,
    );
  }

  private checkCopies(step: number): void {
    const { device, parameters } = this.model;
    const { flat, low, layout } = parameters;
    if (!low) return;
    for (let from = 0; from < layout.masterNumel; from += CHUNK) {
      using _ = device.scope();
      const n = Math.min(CHUNK, layout.masterNumel - from);
      const rounded = device.empty([n], "bf16");
      device.run("copy", { x: flat.view(from, [n]), y: rounded });
      if (fingerprint(rounded) === fingerprint(low.view(from, [n]))) continue;
      throw stale(
        `step ${step}: the bf16 weights are not the rounded masters`,
        "the update changed the masters, and the copies that sampler and trainer compute with were not made again",
      );
    }
  }
}
