// Fetches the inputs of a folder, for a test that kills it: node fetch-main.ts <folder> <address> …
import { inlineExecutor } from "../src/corpus/jobs/stage.ts";
import { FetchConfig } from "../src/corpus/loop/config.ts";
import { inputFiles } from "../src/corpus/remote/inputs.ts";
import { TASKS } from "../src/corpus/steps/table.ts";

const [outDir, ...patterns] = process.argv.slice(2) as [string, ...string[]];
const job = { outDir, executor: inlineExecutor(TASKS), hashes: new Map<string, string>() };
console.log(JSON.stringify(await inputFiles(job, FetchConfig.parse({ connections: 2 }), patterns)));
