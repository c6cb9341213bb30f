// A growing column of fixed-size elements in one buffer, for one value a document without an object a document.

export class ByteColumn {
  private bytes = Buffer.allocUnsafe(1 << 16);
  length = 0;

  /** Room for n more bytes: the buffer and the position to write at. */
  extend(n: number): { bytes: Buffer; at: number } {
    if (this.length + n > this.bytes.length) {
      const bigger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + n));
      this.bytes.copy(bigger, 0, 0, this.length);
      this.bytes = bigger;
    }
    const at = this.length;
    this.length += n;
    return { bytes: this.bytes, at };
  }

  view(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}
