// `nsa data tokenize` and `nsa data stats`: single passes over corpus files, progress on stderr, figures on stdout.
import { corpusStats, expandInputs, Tokenizer, tokenizeFiles } from "@nsa/data";

function clock(seconds: number): string {
  const s = Math.round(seconds);
  return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
}

export async function tokenizeData(
  patterns: string[],
  options: { tokenizer: string; out: string; json?: boolean },
): Promise<void> {
  const start = performance.now();
  let madeBytes = 0;
  let before = 0;
  const index = await tokenizeFiles(expandInputs(patterns), {
    tokenizer: Tokenizer.load(options.tokenizer),
    out: options.out,
    onFile: ({ files, of, tokens, bytes, made }) => {
      if (made) madeBytes += bytes - before;
      before = bytes;
      const seconds = (performance.now() - start) / 1000;
      const rate = (madeBytes / 1e6 / seconds).toFixed(1);
      const left = clock((seconds / files) * (of - files));
      console.error(`${files}/${of} files, ${tokens} tokens, ${rate} MB/s, ${left} left`);
    },
  });
  if (options.json) return console.log(JSON.stringify(index, null, 1));
  const refused = index.refused > 0 ? `, ${index.refused} records refused` : "";
  console.log(`${index.documents} documents, ${index.tokens} tokens${refused}: ${options.out}`);
}

export async function showStats(patterns: string[]): Promise<void> {
  console.log(JSON.stringify(await corpusStats(patterns), null, 1));
}
