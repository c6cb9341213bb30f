// Public surface of @nsa/core.
export * from "./batch.ts";
export * from "./errors.ts";
