// Entry of a build in a process of its own, for tests that kill it: argv[2] is the config as JSON.
import { BuildConfig, buildCorpus } from "../src/index.ts";

await buildCorpus(BuildConfig.parse(JSON.parse(process.argv[2]!)));
