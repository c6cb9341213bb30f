// Buffered JSONL output to one file.
import { closeSync, openSync, writeSync } from "node:fs";

const FLUSH = 1 << 20;

export class JsonlWriter {
  private fd: number;
  private parts: string[] = [];
  private held = 0;
  rows = 0;
  constructor(path: string) {
    this.fd = openSync(path, "w");
  }
  write(row: unknown): void {
    this.line(JSON.stringify(row));
  }
  /** Writes one line that is already encoded. */
  line(text: string): void {
    this.parts.push(text, "\n");
    this.held += text.length + 1;
    this.rows++;
    if (this.held >= FLUSH) this.flush();
  }
  private flush(): void {
    const bytes = Buffer.from(this.parts.join(""));
    for (let done = 0; done < bytes.length; ) done += writeSync(this.fd, bytes, done);
    this.parts = [];
    this.held = 0;
  }
  close(): void {
    this.flush();
    closeSync(this.fd);
  }
}
