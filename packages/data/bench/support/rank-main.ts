// Run as a process of its own by the corpus-scale bench, which kills it: the loop up to `rank`.
import { BuildConfig, runCorpusStep } from "../../src/index.ts";

const report = await runCorpusStep("rank", BuildConfig.parse(JSON.parse(process.argv[2]!)), {
  onProgress: ({ stage, done, total }) => {
    if (done === total) process.stderr.write(`${new Date().toISOString()} ${stage} ${done}/${total}\n`);
  },
});
process.stdout.write(JSON.stringify({ funnel: report.funnel }));
