// From token documents to training steps.
export { PackedSource, type PackOptions } from "./pack.ts";
