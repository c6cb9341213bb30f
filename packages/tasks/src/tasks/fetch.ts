// Gets a task's records from a Hugging Face hub, checks every one, and writes them as the task reads them.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, isAbsolute, join } from "node:path";
import { gzipSync } from "node:zlib";
import { atomicWriteFile, ExitCode, NsaError, writeWhole } from "@nsa/core";
import { readParquetRows } from "@nsa/data";
import { fillTemplate, readRecords } from "../records.ts";
import type { TaskDefinition } from "./definition.ts";
import { toProblem } from "./problems.ts";

function fail(task: TaskDefinition, why: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "task_fetch_failed",
    what: `nsa eval fetch ${task.name}`,
    why,
    fix: "check the network and the address of the hub, or put the records there by hand",
    exitCode: ExitCode.unavailable,
    cause,
  });
}

async function download(task: TaskDefinition, hub: string): Promise<Uint8Array> {
  const { repo, path, revision } = task.hub!;
  try {
    // Loaded here: hardly any command needs it.
    const { downloadFile } = await import("@huggingface/hub");
    const blob = await downloadFile({
      repo: { type: "dataset", name: repo },
      path,
      revision,
      hubUrl: hub,
      xet: false,
    });
    if (!blob) throw new Error(`${repo} has no file ${path}`);
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    throw fail(task, (cause as Error).message, cause);
  }
}

/** A record of the hub with the fields that the task reads. */
export function fromHub(
  task: TaskDefinition,
  record: Record<string, unknown>,
  place: string,
): Record<string, unknown> {
  const own = Object.entries(task.hub?.record ?? {}).map(([field, template]) => {
    const alone = /^\{(\w+)\}$/.exec(template)?.[1];
    const value =
      alone !== undefined && alone in record ? record[alone] : fillTemplate(template, record, place);
    return [field, value] as const;
  });
  return { ...record, ...Object.fromEntries(own) };
}

/**
 * Downloads the task's file and writes it to its place under `dataDir`.
 * Throws NsaError `task_not_on_hub` (exit 2), `task_fetch_failed` (exit 4), `task_record_invalid` (exit 3).
 */
export async function fetchTask(
  task: TaskDefinition,
  options: { dataDir: string; hub: string },
): Promise<{ path: string; records: number }> {
  const target = task.files[0]!.replace("*", "test");
  if (!task.hub) {
    throw new NsaError({
      code: "task_not_on_hub",
      what: `nsa eval fetch ${task.name}`,
      why: "the task names no data set on the hub",
      fix: "put its records into the data folder, or name `hub` in a task file",
      exitCode: ExitCode.usage,
    });
  }
  const bytes = await download(task, options.hub);
  const dir = mkdtempSync(join(tmpdir(), "nsa-fetch-"));
  try {
    const file = join(dir, basename(task.hub.path));
    writeWhole(file, bytes);
    const lines: string[] = [];
    const rows = file.endsWith(".parquet") ? parquetRecords(file) : readRecords(file);
    for await (const { record: raw, place } of rows) {
      const named = place.replace(`${dir}/`, "");
      const record = fromHub(task, raw, named);
      toProblem(task, record, named, lines.length);
      lines.push(JSON.stringify(record, (_, v) => (typeof v === "bigint" ? Number(v) : v)));
    }
    if (lines.length === 0) throw fail(task, "the file holds no record");
    const path = isAbsolute(target) ? target : join(options.dataDir, target);
    mkdirSync(dirname(path), { recursive: true });
    const text = `${lines.join("\n")}\n`;
    atomicWriteFile(path, path.endsWith(".gz") ? gzipSync(text) : text);
    return { path, records: lines.length };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function* parquetRecords(
  file: string,
): AsyncGenerator<{ record: Record<string, unknown>; place: string }> {
  let row = 0;
  for await (const record of readParquetRows(file)) yield { record, place: `${file}:${++row}` };
}
