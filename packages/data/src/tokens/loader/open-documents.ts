// Opens documents that another thread has shared.
import { TokenShards } from "../shards/read.ts";
import { type Documents, MemoryDocuments, type SharedDocuments, subset } from "./documents.ts";

/** Opens what `share` gave; files stay open until the thread ends. Throws as `TokenShards.open`. */
export function openDocuments(shared: SharedDocuments): Documents {
  switch (shared.kind) {
    case "memory":
      return new MemoryDocuments(shared.ids, shared.offsets);
    case "shards":
      return TokenShards.open(shared.folder, { verify: false });
    case "subset":
      return subset(openDocuments(shared.of), shared.order);
  }
}
