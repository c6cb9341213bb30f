// Readers of crawl files: streams of documents with id, url, domain and where they came from.
export { type Document, domainOf, type ReadEvent, type Refusal } from "./document.ts";
export { expandInputs, shardName } from "./inputs.ts";
export { readParquetRows } from "./parquet.ts";
export { formatOf, type InputFormat, type ReadOptions, readDocuments } from "./read.ts";
export { type ArchiveEvent, type ArchiveRecord, readArchive } from "./warc.ts";
export { JsonlWriter } from "./write.ts";
