// A thread that encodes texts with the tokenizer of a folder: each message is a numbered text, each answer its ids or why there are none.
import { parentPort, workerData } from "node:worker_threads";
import type { FromEncoder, ToEncoder } from "./encoder-thread.ts";
import { Tokenizer } from "./tokenizer.ts";

const port = parentPort!;
const tokenizer = Tokenizer.load((workerData as { folder: string }).folder);
port.on("message", ({ number, text }: ToEncoder) => {
  try {
    const ids = Uint32Array.from(tokenizer.encode(text));
    port.postMessage({ number, ids } satisfies FromEncoder, [ids.buffer as ArrayBuffer]);
  } catch (error) {
    port.postMessage({ number, failure: (error as Error).message } satisfies FromEncoder);
  }
});
