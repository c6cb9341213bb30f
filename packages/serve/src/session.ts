// What `nsa serve` and `nsa chat` load: model, tokenizer, chat template, and the ids that end an answer.
import { basename, dirname } from "node:path";
import { EncoderThread, Tokenizer } from "@nsa/data";
import { openDevice } from "@nsa/kernels";
import { INFERENCE_ONLY, loadModel, type Transformer } from "@nsa/model";
import { type ChatTemplate, chatTemplateOf, checkVocabulary } from "@nsa/tasks";

export interface ServingSession extends Disposable {
  name: string;
  model: Transformer;
  tokenizer: Tokenizer;
  template: ChatTemplate;
  /** Characters of the longest token. */
  longestToken: number;
  /** Ids of a prompt; those of a long one come from a thread of their own. */
  encode(text: string): Promise<number[]>;
}

/** Longer texts are encoded beside the thread that serves: this many take it about a millisecond. */
const AT_ONCE = 1 << 13;

/** `runs/<run>/checkpoints/step-1` is called by its run. */
function nameOf(checkpoint: string): string {
  const [step, folder] = [basename(checkpoint), dirname(checkpoint)];
  return basename(folder) === "checkpoints" ? basename(dirname(folder)) : step;
}

function longestOf(tokenizer: Tokenizer): number {
  let longest = 1;
  for (let id = 0; id < tokenizer.vocabSize; id++)
    longest = Math.max(longest, tokenizer.decode([id], { special: true }).length);
  return longest;
}

export interface SessionOptions {
  device: string;
  /** Name or path; by default the checkpoint's own, else ChatML. */
  template?: string;
  name?: string;
}

/** Throws NsaError `tokenizer_mismatch` (exit 3), and what loading throws. */
export async function openServingSession(
  checkpoint: string,
  options: SessionOptions,
): Promise<ServingSession> {
  const tokenizer = Tokenizer.load(checkpoint);
  const template = chatTemplateOf(checkpoint, options.template);
  const device = openDevice(options.device);
  try {
    const model = await loadModel(device, checkpoint, {}, INFERENCE_ONLY);
    checkVocabulary(tokenizer, model, checkpoint);
    const name = options.name ?? nameOf(checkpoint);
    const longestToken = longestOf(tokenizer);
    const thread = new EncoderThread(checkpoint);
    return {
      ...{ name, model, tokenizer, template, longestToken },
      encode: async (text) => (text.length <= AT_ONCE ? tokenizer.encode(text) : thread.encode(text)),
      [Symbol.dispose]() {
        thread[Symbol.dispose]();
        device.close();
      },
    };
  } catch (error) {
    device.close();
    throw error;
  }
}
