// From token documents to training steps.
export { type MixedPart, MixedSource, type MixStage } from "./mix.ts";
export { type Documents, inMemory, PackedSource, type PackOptions } from "./pack.ts";
