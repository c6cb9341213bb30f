// `nsa generate`: continues a prompt with a checkpoint, streaming when there is one output.
import { Tokenizer } from "@nsa/data";
import { openDevice } from "@nsa/kernels";
import { Engine, INFERENCE_ONLY, loadModel } from "@nsa/model";
import { checkVocabulary } from "@nsa/tasks";

interface GenerateOptions {
  samples: number;
  maxTokens: number;
  temperature: number;
  topP: number;
  seed: number;
  device: string;
  json?: boolean;
}

export async function generate(checkpoint: string, prompt: string, o: GenerateOptions): Promise<void> {
  const device = openDevice(o.device);
  const model = await loadModel(device, checkpoint, {}, INFERENCE_ONLY);
  const tokenizer = Tokenizer.load(checkpoint);
  checkVocabulary(tokenizer, model, checkpoint);
  const n = o.samples;
  const stream = n === 1 && !o.json ? tokenizer.stream() : undefined;
  if (stream) process.stdout.write(prompt);
  const engine = new Engine(model, {
    maxSequences: 512,
    cacheTokens: 262_144,
    prefillTokens: 16_384,
    onToken: (_r, _s, id) => void (stream && !tokenizer.isEnd(id) && process.stdout.write(stream.push(id))),
  });
  const [outputs] = engine.generate([
    {
      prompt: tokenizer.encode(prompt),
      n,
      maxTokens: o.maxTokens,
      sampling: { temperature: o.temperature, topP: o.topP, minP: 0, topK: 0 },
      seed: o.seed,
      id: 0,
      stopIds: tokenizer.eosIds,
    },
  ]);
  if (stream) console.log(stream.end());
  else {
    for (const s of outputs!) {
      const text = tokenizer.decode(s.ids.filter((id) => !tokenizer.isEnd(id)));
      console.log(o.json ? JSON.stringify({ text, finish: s.finish, logp: s.logp }) : `${prompt}${text}\n`);
    }
  }
  device.close();
}
