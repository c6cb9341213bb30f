// The contract of a reward: it scores a batch of outputs, each with its group, question and metadata, and may compare all of them.
// Most rewards score one output by itself; `perOutput` makes a batch reward of such a function.
import { availableParallelism } from "node:os";
import { inspect } from "node:util";
import { inParallel } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import type { Device } from "@nsa/kernels";
import type { Gold } from "@nsa/tasks";
import type { RewardConfig } from "./config.ts";

/** An output to be scored, with its problem and gold. */
export interface Scored extends Gold {
  /** Name of the problem, where it has one. */
  id?: string;
  /** Part of a mixed task that the problem comes from. */
  part?: string;
  prompt: string;
  question: string;
  completion: string;
  /** The prompt and the output as the policy saw and sampled them. */
  promptIds: readonly number[];
  ids: readonly number[];
  /** Tokens of the output, and the most it may have. */
  tokens: number;
  maxTokens: number;
}

/** A reward at the end of a step; `end` counts characters of the completion. */
export interface StepReward {
  end: number;
  reward: number;
}

/** Further figures about an output by name, reported beside the reward and never added to it. */
export type Notes = Readonly<Record<string, number>>;

/** One number for the output, rewards of its steps, or why it cannot be scored. */
export type Verdict =
  | number
  | { reward: number; notes?: Notes }
  | { steps: StepReward[]; notes?: Notes }
  | { fault: string };

/** What a reward may use of the run that it scores for. */
export interface RewardEnvironment {
  /** The policy's device. */
  device: Device;
  tokenizer: Tokenizer;
  log: (text: string, level?: "info" | "warn") => void;
  /** Whether the run is to stop: what waits for something outside it ends then by {@link INTERRUPTED}. */
  interrupted?: () => boolean;
}

/** What a batch reward is given besides the outputs. */
export interface RewardContext {
  /** Step of the run, from 1. */
  step: number;
  /** Number of each output's question: outputs of one question are a group. */
  group: readonly number[];
}

export interface BatchReward {
  /** It scores each output by itself, so that ranks may share a batch; others see whole batches, on rank 0. */
  readonly single?: true;
  /**
   * A verdict for each output, in their order. Outputs that an earlier reward could not score are left out. A verdict that is no finite
   * number quarantines its output; an error, or a wrong number of verdicts, quarantines all of them.
   */
  scoreBatch(
    outputs: readonly Scored[],
    context: RewardContext,
  ): readonly Verdict[] | Promise<readonly Verdict[]>;
  /** Ends what was opened for it. */
  close?(): void | Promise<void>;
}

/** A failure of a program that scores, worded to follow the name of its reward: "answered 1 of 3 within 300 ms". */
export class VerifierError extends Error {
  override readonly name = "VerifierError";
}

/** The fault of outputs whose scoring an interruption ended. */
export const INTERRUPTED = "was interrupted";

const POLL_MS = 50;

/** The work, or a {@link VerifierError} of {@link INTERRUPTED} as soon as the run is to stop; what it waits for is left to its owner. */
export async function untilInterrupted<T>(work: Promise<T>, interrupted?: () => boolean): Promise<T> {
  if (!interrupted) return work;
  let timer: NodeJS.Timeout | undefined;
  const stopped = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      if (interrupted()) reject(new VerifierError(INTERRUPTED));
    }, POLL_MS);
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    clearInterval(timer);
  }
}

/** A member of the registry: makes the reward of one entry of a recipe's `rewards`. */
export interface RewardKind {
  readonly name: string;
  /** It depends on how an output is written, not on whether its answer is right. */
  readonly ofForm?: true;
  /** It rewards the steps of an output. */
  readonly ofSteps?: true;
  /** Throws NsaError (exit 2) where the entry lacks what this kind needs, by its text alone. */
  check?(config: RewardConfig): void;
  /** Throws NsaError where the entry is not valid or this machine lacks what it needs. */
  open(config: RewardConfig, environment: RewardEnvironment): BatchReward | Promise<BatchReward>;
}

/** Whatever a reward threw or returned, as one line. */
export function oneLine(value: unknown): string {
  const text =
    value instanceof Error
      ? value.message
      : typeof value === "object"
        ? inspect(value, { depth: 1 })
        : String(value);
  return text.split("\n", 1)[0]!.slice(0, 200);
}

export type OutputVerdict = number | { steps: StepReward[] };

/** A reward of each output by itself; one that throws quarantines its own output alone. */
export function perOutput(
  score: (output: Scored) => OutputVerdict | Promise<OutputVerdict>,
  interrupted: () => boolean = () => false,
): BatchReward {
  return {
    single: true,
    scoreBatch: (outputs) =>
      inParallel(outputs, availableParallelism(), async (output): Promise<Verdict> => {
        if (interrupted()) return { fault: INTERRUPTED };
        try {
          return await score(output);
        } catch (error) {
          return { fault: `threw: ${oneLine(error)}` };
        }
      }),
  };
}
