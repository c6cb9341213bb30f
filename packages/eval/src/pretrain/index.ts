// Pretraining: recipe schema, cost estimate, runner.
export { type PretrainConfig, pretrainSchema } from "./config.ts";
export { type Corpus, loadCorpus } from "./corpus.ts";
export { estimatePretrain, pretrainModelConfig, runPretrain } from "./run.ts";
