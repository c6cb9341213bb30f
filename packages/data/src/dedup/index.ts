// Deduplication: URL normalisation and exact keys.
export { contentKey, urlKey } from "./exact.ts";
export { normaliseUrl } from "./url.ts";
