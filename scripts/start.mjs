// `npm start`: sets up and runs the main job on the CPU.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { attempt, must, root } from "./lib.mjs";

must("node", ["scripts/setup.mjs"]);
const pipeline = "configs/pipelines/quickstart.yaml";
const args = existsSync(join(root, pipeline))
  ? ["pipeline", "run", pipeline]
  : ["pretrain", "configs/pretrain/quickstart.yaml"];
process.exit(attempt("node", ["scripts/nsa.mjs", ...args, ...process.argv.slice(2)]));
