// A process that has a program score one output, for tests that kill it: node command-main.ts <program>
import { makeScorer } from "../src/index.ts";
import { rewardSchema } from "../src/rewards/config.ts";

const config = rewardSchema.parse({ kind: "command", command: [process.execPath, process.argv[2]!] });
const scorer = await makeScorer([config], {} as never);
const output = {
  prompt: "p",
  question: "q",
  completion: "c",
  promptIds: [],
  ids: [],
  answer: "4",
  tokens: 1,
  maxTokens: 9,
};
await scorer.score([output], { step: 1, group: [0] });
