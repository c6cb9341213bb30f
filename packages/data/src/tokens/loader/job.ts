// What a loader thread is told to do, and what it says.
import type { BatchSource, NsaErrorFields, StepBatch } from "@nsa/core";
import type { SharedDocuments } from "./documents.ts";
import { MixedSource, type MixStage } from "./mix.ts";
import { openDocuments } from "./open-documents.ts";
import { PackedSource, type PackOptions } from "./pack.ts";

export interface LoaderJob {
  parts: { name: string; documents: SharedDocuments }[];
  /** Weights of the parts; absent: there is one part and no mixing. */
  stages?: MixStage[];
  packing: PackOptions;
}

export interface ToLoader {
  /** Steps that may be sent besides those asked for before. */
  credits: number;
}

export type FromLoader =
  /** `state`: that of the source after the step. */
  | { type: "step"; step: StepBatch; state: unknown }
  | { type: "failed"; message: string; fields?: Omit<NsaErrorFields, "cause"> };

/** The source that a job describes; it makes steps when asked. */
export function openLoader({ parts, stages, packing }: LoaderJob): BatchSource & { next(): StepBatch } {
  const opened = parts.map(({ name, documents }) => ({ name, documents: openDocuments(documents) }));
  return stages ? new MixedSource(opened, stages, packing) : new PackedSource(opened[0]!.documents, packing);
}
