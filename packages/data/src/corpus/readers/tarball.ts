// Documents of the files in a tar archive, each read by its name: JSONL, archives of pages, pages, texts, code, TeX.
//
// TeX files are held until the archive ends, or until they are too large together, since papers include one another's parts. A
// member whose name ends in .gz without a format before it is a submission as arXiv packs them: a tar of its own, or one file.
import { basename } from "node:path";
import { readArchiveDocuments } from "./archive.ts";
import { decompressed, type Source } from "./bytes.ts";
import { type ReadEvent, refuse } from "./document.ts";
import { formatOfName, type InputFormat } from "./formats.ts";
import { readJsonl } from "./jsonl.ts";
import { decodeTex, texDocuments } from "./latex.ts";
import { Gap } from "./members.ts";
import { readTar, tarHeader } from "./tar.ts";
import { readWhole } from "./whole.ts";

/** A JSON file in somebody's repository is no file of rows. */
const isRows = (name: string) => /\.(?:jsonl|ndjson)(?:\.(?:gz|zst))?$/i.test(name);

/** Bytes of a source up to a limit; undefined for more, or where bytes are lost. */
async function allOf(source: Source, maxBytes: number): Promise<Buffer | string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of source.parts()) {
    if (part instanceof Gap) return `${part.reason} (byte ${part.at})`;
    size += part.length;
    if (size > maxBytes) return "record_too_long";
    parts.push(part);
  }
  return Buffer.concat(parts, size);
}

const LOOKS_LIKE_TEX = /\\(?:document(?:class|style)|begin|input|section|def|magnification)\b/;

const MAX_DEPTH = 3;

class Tarball {
  private readonly tex = new Map<string, string>();
  private texBytes = 0;

  constructor(
    private readonly name: string,
    private readonly maxBytes: number,
    private readonly depth = 0,
  ) {}

  async *documents(parts: AsyncIterable<Uint8Array | Gap>): AsyncGenerator<ReadEvent> {
    for await (const event of readTar(parts)) {
      if ("broken" in event) {
        yield refuse(this.name, event.broken.offset, event.broken.reason, event.broken.excerpt);
        continue;
      }
      const { member } = event;
      const source: Source = {
        name: `${this.name}/${member.name.replace(/^(?:\.?\/)+/, "")}`,
        parts: () => decompressed(member.name, bytesOf(member.parts())),
      };
      yield* this.member(source, member.offset);
    }
    yield* this.papers();
  }

  private async *member(source: Source, offset: number): AsyncGenerator<ReadEvent> {
    const { maxBytes } = this;
    const format = basename(source.name).startsWith(".") ? undefined : formatOfName(source.name);
    const file = source.name;
    switch (format) {
      case "jsonl":
        if (isRows(file)) yield* readJsonl(source, maxBytes);
        else yield { skipped: "json" };
        return;
      case "archive":
        yield* readArchiveDocuments(source, maxBytes);
        return;
      case "html":
      case "text":
      case "code":
        yield* readWhole(source, format, maxBytes);
        return;
      case "latex":
        yield* this.hold(source, offset);
        return;
      case undefined:
        if (/\.t?gz$/i.test(file)) yield* this.submission(source, offset);
        else yield { skipped: "member_format" };
        return;
      default:
        // Parquet needs a file to seek in; a tar in a tar is a submission.
        if (format === "tar") yield* this.submission(source, offset);
        else yield refuse(file, offset, "member_needs_a_file", format);
    }
  }

  /** Holds a TeX file; documents come out where those held are too large together. */
  private async *hold(source: Source, offset: number): AsyncGenerator<ReadEvent> {
    const bytes = await allOf(source, this.maxBytes);
    if (typeof bytes === "string") {
      yield bytes === "record_too_long"
        ? refuse(source.name, offset, bytes, source.name)
        : refuse(source.name, offset, "stream_broken", bytes);
      return;
    }
    if (this.texBytes + bytes.length > this.maxBytes) yield* this.papers();
    this.tex.set(source.name.slice(this.name.length + 1), decodeTex(bytes));
    this.texBytes += bytes.length;
  }

  /** The documents of the TeX files that are held. */
  private *papers(): Generator<ReadEvent> {
    yield* texEvents(this.name, this.tex, this.maxBytes);
    this.tex.clear();
    this.texBytes = 0;
  }

  private async *submission(source: Source, offset: number): AsyncGenerator<ReadEvent> {
    const bytes = await allOf(source, this.maxBytes);
    if (typeof bytes === "string") {
      yield bytes === "record_too_long"
        ? refuse(source.name, offset, bytes, source.name)
        : refuse(source.name, offset, "stream_broken", bytes);
      return;
    }
    if (tarHeader(bytes.subarray(0, 512))) {
      // An archive may hold itself.
      if (this.depth >= MAX_DEPTH) yield refuse(source.name, offset, "nested_too_deep", source.name);
      else yield* new Tarball(source.name, this.maxBytes, this.depth + 1).documents(oneChunk(bytes));
      return;
    }
    const text = bytes.includes(0) ? "" : decodeTex(bytes);
    if (LOOKS_LIKE_TEX.test(text)) yield* texEvents(source.name, new Map([["", text]]), this.maxBytes);
    else yield { skipped: "member_format" };
  }
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** The bytes of a member for a decompressor, which takes none behind a loss: the stream ends there. */
async function* bytesOf(parts: AsyncIterable<Uint8Array | Gap>): AsyncGenerator<Uint8Array> {
  for await (const part of parts) {
    if (part instanceof Gap) return;
    yield part;
  }
}

/** Events of TeX files read together; `""` among the paths is the file itself. */
export function* texEvents(
  file: string,
  files: ReadonlyMap<string, string>,
  maxBytes: number,
): Generator<ReadEvent> {
  if (files.size === 0) return;
  const documents = texDocuments(files, maxBytes);
  for (const { path, title, text } of documents) {
    const id = path === "" ? file : `${file}/${path}`;
    yield { document: { id, url: "", domain: "", title, text, source: { file: id, offset: 0 } } };
  }
  for (let left = files.size - documents.length; left > 0; left--) yield { skipped: "tex_part" };
}

/** Documents of a tar archive, compressed or not. */
export function readTarball(source: Source, maxBytes: number): AsyncGenerator<ReadEvent> {
  return new Tarball(source.name, maxBytes).documents(source.parts());
}
