// From token documents to training steps.
export { type Documents, inMemory, PackedSource, type PackOptions } from "./pack.ts";
