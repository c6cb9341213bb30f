// Deduplication: URL normalisation, exact keys, MinHash near duplicates.
export { contentKey, urlKey } from "./exact.ts";
export { type MinhashOptions, minhashSignatures, minhashTypescript, similarity } from "./minhash.ts";
export { type BandFile, bandRun, type NearOptions, nearDuplicates } from "./near.ts";
export { normaliseUrl } from "./url.ts";
