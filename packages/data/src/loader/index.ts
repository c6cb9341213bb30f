// From token documents to training steps.
export { type Documents, inMemory, subset } from "./documents.ts";
export { type LoaderJob, openLoader } from "./job.ts";
export { type MixedPart, MixedSource, type MixStage } from "./mix.ts";
export { PackedSource, type PackOptions } from "./pack.ts";
export { PrefetchedSource } from "./prefetched.ts";
