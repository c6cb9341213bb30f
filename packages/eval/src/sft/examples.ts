// Examples of fine-tuning from JSONL files: templates filled, tokenized, the prompt's length kept.
import { NsaError } from "@nsa/core";
import { expandInputs, type Tokenizer } from "@nsa/data";
import { fillTemplate, readRecords } from "../records.ts";
import type { SftConfig } from "./config.ts";
import type { Example } from "./source.ts";

/**
 * Examples of the sources as ids, those of more than `seqLen` positions left out with a remark.
 * Throws NsaError `corpus_empty`, `data_*` (exit 3).
 */
export function readExamples(
  from: { sources: SftConfig["data"]["sources"]; seqLen: number },
  tokenizer: Tokenizer,
  log: (text: string) => void,
): Example[] {
  const examples: Example[] = [];
  let long = 0;
  for (const source of from.sources) {
    const limit = examples.length + (source.maxExamples ?? Number.POSITIVE_INFINITY);
    for (const path of expandInputs(source.files)) {
      for (const { record, place } of readRecords(path)) {
        if (examples.length >= limit) break;
        const prompt = fillTemplate(source.prompt, record, place);
        const head = tokenizer.encode(prompt);
        const tail = tokenizer.encode(fillTemplate(source.completion, record, place));
        const ids = Int32Array.from([...head, ...tail, tokenizer.eosId]);
        const fits = ids.length - 1 <= from.seqLen;
        if (!fits) long++;
        else examples.push({ ids, promptLength: head.length, format: source.format, prompt });
      }
    }
  }
  if (long > 0) log(`${long} examples longer than ${from.seqLen} tokens were left out`);
  if (examples.length >= 2) return examples;
  throw new NsaError({
    code: "corpus_empty",
    what: `there are ${examples.length} usable examples`,
    why: "training and validation need at least two",
    fix: "name files with examples, or allow longer ones",
    exitCode: 3,
  });
}
