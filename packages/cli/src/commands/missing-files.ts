// Files that a recipe names and that are not there, found before the work begins.
import { NsaError } from "@nsa/core";

/** The places of recipes that name files to read. */
interface NamingFiles {
  data?: { sources?: { files?: string[] }[] };
  task?: { file?: string; files?: string[] };
  rewards?: { file?: string }[];
}

/** One error for every pattern without a file; what lies below `folder` stands in for something that is not made yet. */
export async function missingFiles(config: unknown, folder?: string): Promise<NsaError[]> {
  const { expandInputs } = await import("@nsa/data");
  const { data, task, rewards } = config as NamingFiles;
  const named = [
    ...(Array.isArray(data?.sources) ? data.sources.flatMap(({ files }) => files ?? []) : []),
    ...(task?.file ? [task.file] : []),
    ...(task?.files ?? []),
    ...(Array.isArray(rewards) ? rewards.flatMap(({ file }) => file || []) : []),
  ];
  const missing: NsaError[] = [];
  for (const pattern of named) {
    if (folder && pattern.startsWith(folder)) continue;
    try {
      expandInputs([pattern]);
    } catch (error) {
      if (!(error instanceof NsaError)) throw error;
      missing.push(error);
    }
  }
  return missing;
}

export function warnOfMissing(missing: readonly NsaError[], stage = ""): void {
  for (const { what, why } of missing)
    console.error(`warning: ${stage}${what}: ${why}; a run would end there`);
}
