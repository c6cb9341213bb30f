// `nsa model import|export|inspect`: checkpoints from and to Hugging Face folders.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  exportHuggingFace,
  importHuggingFace,
  inspectHuggingFace,
  loadModel,
  openDevice,
  parameterCount,
  readCheckpointState,
  saveCheckpoint,
} from "@nsa/model";

/** What is carried along where it is there: the tokenizer, and the chat template with its ending. */
const CARRIED = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];

function tokenizerOf(folder: string): Record<string, string> {
  const there = CARRIED.filter((name) => existsSync(join(folder, name)));
  return Object.fromEntries(there.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

export async function modelCommand(verb: string, from: string, to: string | undefined): Promise<void> {
  if (verb === "inspect") {
    const ours = existsSync(join(from, "state.json"));
    const config = ours ? (await readCheckpointState(from)).model : inspectHuggingFace(from);
    console.log(JSON.stringify({ parameters: parameterCount(config), ...config }, null, 2));
    return;
  }
  const device = openDevice("cpu");
  try {
    if (verb === "import") {
      const model = importHuggingFace(device, from);
      await saveCheckpoint(to!, { model, step: 0, files: tokenizerOf(from) });
    } else await exportHuggingFace(await loadModel(device, from), to!, tokenizerOf(from));
  } finally {
    device.close();
  }
}
