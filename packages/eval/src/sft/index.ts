// Supervised fine-tuning: recipe schema, packing, runner.
export { type SftConfig, sftSchema } from "./config.ts";
export { readExamples } from "./examples.ts";
export { estimateSft, runSft } from "./run.ts";
export { type Example, ExampleSource, packExamples } from "./source.ts";
