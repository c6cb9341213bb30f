// A reward model at work: numbers of its scalar head at given places of texts, batched on its device.
import { ExitCode, NsaError, packBatch } from "@nsa/core";
import type { Device } from "@nsa/kernels";
import { loadModel } from "../checkpoint/load-model.ts";
import { values } from "../heads/apply.ts";
import { INFERENCE_ONLY } from "../parameters/groups.ts";
import type { Transformer } from "../transformer/transformer.ts";
import { type RewardModelFile, readRewardFile } from "./file.ts";

/** Positions in `ids` at which numbers are wanted, ascending. */
export interface PlacedText {
  ids: ArrayLike<number>;
  at: readonly number[];
}

/** Tokens of a forward. */
const FORWARD_TOKENS = 16_384;

/** The numbers of each text, in the order of its places. Texts are packed in order up to `budget` tokens. */
export function numbersAt(
  model: Transformer,
  texts: readonly PlacedText[],
  budget = FORWARD_TOKENS,
): number[][] {
  const out: number[][] = [];
  for (let from = 0; from < texts.length; ) {
    let to = from;
    for (let room = budget; to < texts.length; to++) {
      room -= texts[to]!.ids.length;
      if (room < 0 && to > from) break;
    }
    const group = texts.slice(from, to);
    const batch = packBatch(
      group.map(({ ids, at }) => {
        const wanted = new Set(at);
        // Position j is where `ids[j + 1]` would be predicted: an id behind the last makes the last position one of them.
        return { ids: [...Array.from(ids), 0], isTarget: (index: number) => wanted.has(index - 1) };
      }),
    );
    const numbers = values(model, batch);
    for (const [n, { at }] of group.entries())
      out.push(at.map((place) => numbers[batch.cuSeqlens[n]! + place]!));
    from = to;
  }
  return out;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** A checkpoint of `nsa reward`, ready to score. */
export class RewardModel {
  private constructor(
    readonly model: Transformer,
    readonly file: RewardModelFile,
    readonly checkpoint: string,
  ) {}

  /**
   * Throws NsaError `reward_model_invalid`, `reward_tokenizer_mismatch` (exit 3), and what loading a checkpoint throws.
   * `tokenizer`: hash of the policy's, whose ids the model will see.
   */
  static async open(device: Device, checkpoint: string, tokenizer: string): Promise<RewardModel> {
    const file = readRewardFile(checkpoint);
    if (file.tokenizer !== tokenizer) {
      throw new NsaError({
        code: "reward_tokenizer_mismatch",
        what: `the reward model ${checkpoint} has another tokenizer than the policy`,
        why: "it reads the ids that the policy samples, which mean other texts to it",
        fix: "train the reward model from a checkpoint with the policy's tokenizer",
        exitCode: ExitCode.data,
      });
    }
    const model = await loadModel(device, checkpoint, { head: "scalar" }, INFERENCE_ONLY);
    return new RewardModel(model, file, checkpoint);
  }

  /** Probabilities of being right where the loss gives them (pointwise), else plain numbers. */
  score(texts: readonly PlacedText[]): number[][] {
    const numbers = numbersAt(this.model, texts);
    return this.file.probability ? numbers.map((row) => row.map(sigmoid)) : numbers;
  }

  /** Tokens that a text may have. */
  get maxTokens(): number {
    return this.model.config.maxSeqLen;
  }

  free(): void {
    this.model.free();
  }
}
