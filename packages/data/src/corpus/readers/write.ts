// Buffered JSONL output to one file.
import { closeSync, openSync } from "node:fs";
import { withWriteErrors, writeFully } from "@nsa/core";

const FLUSH = 1 << 20;

export class JsonlWriter {
  private fd: number;
  private buffer = Buffer.allocUnsafe(FLUSH);
  private held = 0;
  rows = 0;
  constructor(private readonly path: string) {
    this.fd = withWriteErrors(path, () => openSync(path, "w"));
  }
  write(row: unknown): void {
    this.line(JSON.stringify(row));
  }
  /** Writes one line that is already encoded, without its newline. */
  line(text: string): void {
    // A UTF-16 unit takes three bytes at most.
    if (3 * text.length + 1 > this.buffer.length) {
      this.bytes(Buffer.from(text));
      return;
    }
    this.room(3 * text.length + 1);
    this.held += this.buffer.write(text, this.held);
    this.end();
  }
  /** The same for a line in UTF-8. */
  bytes(line: Buffer): void {
    this.room(line.length + 1);
    if (line.length + 1 > this.buffer.length) {
      this.put(line);
    } else {
      line.copy(this.buffer, this.held);
      this.held += line.length;
    }
    this.end();
  }
  close(): void {
    this.flush();
    closeSync(this.fd);
  }
  private end(): void {
    this.buffer[this.held++] = 10;
    this.rows++;
  }
  private room(bytes: number): void {
    if (this.held + bytes > this.buffer.length) this.flush();
  }
  private flush(): void {
    this.put(this.buffer.subarray(0, this.held));
    this.held = 0;
  }
  private put(bytes: Buffer): void {
    withWriteErrors(this.path, () => writeFully(this.fd, bytes));
  }
}
