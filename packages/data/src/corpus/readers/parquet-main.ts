// A thread that decodes row groups of one Parquet file: sends the schema, then the rows of each request.
import { parentPort, workerData } from "node:worker_threads";
import { gunzipSync } from "node:zlib";
import { decompress as unzstd } from "fzstd";
import {
  asyncBufferFromFile,
  type Compressors,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import type { GroupReply, GroupRequest } from "./row-groups.ts";

const compressors: Compressors = {
  GZIP: (input) => gunzipSync(input),
  ZSTD: (input) => unzstd(input),
};

const port = parentPort!;
const send = (reply: GroupReply) => port.postMessage(reply);
const failure = (error: unknown): GroupReply => ({ failure: (error as Error).message });

try {
  const file = await asyncBufferFromFile((workerData as { path: string }).path);
  const metadata = await parquetMetadataAsync(file);
  const columns = parquetSchema(metadata).children.map((c) => c.element.name);
  send({ schema: { columns, groups: metadata.row_groups.map((group) => Number(group.num_rows)) } });
  port.on("message", async ({ first, end, columns: wanted, utf8 }: GroupRequest) => {
    try {
      const rows = await parquetReadObjects({
        file,
        metadata,
        rowStart: first,
        rowEnd: end,
        compressors,
        utf8,
        ...(wanted ? { columns: wanted } : {}),
      });
      send({ rows });
    } catch (error) {
      send(failure(error));
    }
  });
} catch (error) {
  send(failure(error));
}
