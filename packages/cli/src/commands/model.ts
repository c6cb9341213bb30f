// `nsa model import|export|inspect`: checkpoints from and to Hugging Face folders.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { modelFiles } from "@nsa/data";
import { openDevice } from "@nsa/kernels";
import {
  exportHuggingFace,
  importHuggingFace,
  inspectHuggingFace,
  loadModel,
  parameterCount,
  readCheckpointState,
  saveCheckpoint,
} from "@nsa/model";

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
      await saveCheckpoint(to!, { model, step: 0, files: modelFiles(from) });
    } else
      await exportHuggingFace(
        await loadModel(device, from, { lora: undefined }),
        to!,
        modelFiles(from, { guessed: true }),
      );
  } finally {
    device.close();
  }
}
