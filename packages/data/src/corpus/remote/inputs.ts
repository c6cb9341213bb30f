// Inputs of a corpus as files: patterns as they are, addresses fetched below inputs/ of the run's folder, lists and indexes with
// all that they name.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { NsaError } from "@nsa/core";
import { hashFile } from "../jobs/manifest.ts";
import type { JobContext } from "../jobs/stage.ts";
import type { BuildConfig } from "../loop/config.ts";
import { expandInputs } from "../readers/inputs.ts";
import { download } from "./download.ts";
import { fetchIndexed } from "./index-records.ts";
import { fetchedPath, isAddress, isIndex, isList, placeOf } from "./places.ts";
import type { RemoteOptions } from "./request.ts";

function linesOf(path: string): string[] {
  const bytes = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

class Inputs {
  private readonly folder: string;
  private bytes = 0;
  private readonly options: RemoteOptions;

  constructor(
    private readonly ctx: JobContext,
    private readonly config: BuildConfig["fetch"],
  ) {
    this.folder = join(ctx.outDir, "inputs");
    this.options = {
      retries: config.retries,
      idleMs: 1000 * config.idleSeconds,
      ...(ctx.signal ? { signal: ctx.signal } : {}),
      ...(ctx.sleep ? { sleep: ctx.sleep } : {}),
    };
  }

  /** The places of all inputs, lists read; in the order of the patterns, each once. */
  async places(patterns: readonly string[]): Promise<string[]> {
    const places = new Set<string>();
    for (const pattern of patterns) {
      const found = isAddress(pattern)
        ? [pattern]
        : expandInputs([pattern], undefined, { lists: this.config.base === "" });
      for (const place of found) {
        if (!isList(place)) {
          places.add(place);
          continue;
        }
        const path = await this.local(place);
        for (const line of linesOf(path)) places.add(placeOf(place, line, this.config.base));
      }
    }
    return [...places];
  }

  /** The file of a place: fetched where it is an address. */
  async local(place: string): Promise<string> {
    if (!isAddress(place)) return place;
    const path = join(this.folder, fetchedPath(place));
    await download(place, path, this.options);
    return path;
  }

  /** The file to read for a place: itself, or the archive of the records that an index names. */
  async file(place: string): Promise<string> {
    const path = await this.local(place);
    if (!isIndex(place)) return path;
    const { base, connections } = this.config;
    const index = await hashFile(path);
    const mark = createHash("sha256").update(`${index} ${base}`).digest("hex").slice(0, 12);
    const stem = basename(path)
      .replace(/\.gz$/, "")
      .replace(/\.cdxj?$/, "");
    const made = join(this.folder, "indexed", `${stem}-${mark}.warc.gz`);
    await fetchIndexed(
      { index: path, path: made, placeOf: (file) => placeOf(place, file, base), connections },
      this.options,
    );
    return made;
  }

  async all(patterns: readonly string[]): Promise<string[]> {
    const places = await this.places(patterns);
    const remote = places.filter((place) => isAddress(place) || isIndex(place));
    let done = 0;
    const report = () =>
      this.ctx.onProgress?.({
        stage: "fetch",
        done,
        total: remote.length,
        skipped: 0,
        bytes: this.bytes,
        totalBytes: 0,
      });
    if (remote.length > 0) report();
    const files = new Map<string, string>();
    const queue = [...remote];
    // Indexes run so many requests each, so that they come one after the other.
    const work = async () => {
      for (let place = queue.shift(); place !== undefined; place = queue.shift()) {
        this.ctx.signal?.throwIfAborted();
        files.set(place, await this.file(place));
        done++;
        report();
      }
    };
    const workers = remote.some(isIndex) ? 1 : this.config.connections;
    const outcomes = await Promise.allSettled(Array.from({ length: workers }, work));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    return places.map((place) => files.get(place) ?? place);
  }
}

/**
 * Files of a corpus's inputs. Throws NsaError `input_missing`, `index_bad`, `index_range` (exit 3), and `input_remote`: exit 3 where
 * a server refuses, exit 4 where it does not answer.
 */
export async function inputFiles(
  ctx: JobContext,
  config: BuildConfig["fetch"],
  patterns: readonly string[],
): Promise<string[]> {
  const files = await new Inputs(ctx, config).all(patterns);
  if (files.length > 0) return files;
  throw new NsaError({
    code: "input_missing",
    what: `no input file for ${patterns.join(", ")}`,
    why: "the lists name none",
    fix: "check the lists",
    exitCode: 3,
  });
}
