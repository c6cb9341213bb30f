// The contract of the two ways to make ids of text and text of ids: our byte-level BPE, and the library for everything else.
import type { TextPart } from "./added-tokens.ts";

export interface Codec {
  /** What comes before splitting; absent where the text stays as it is. `inner` as in {@link encode}. */
  readonly normalize: ((text: string, inner?: boolean) => string) | undefined;
  /**
   * Ids of a text's parts. `inner`: the text continues another one, so that nothing marks its beginning.
   */
  encode(parts: readonly TextPart[], inner: boolean): Int32Array;
  /** Bytes of a token of the vocabulary, as it is inside a text. */
  bytesOf(id: number): Uint8Array;
  /** Text of the ids. */
  decode(ids: readonly number[]): string;
  /** A decoder for streams: `push` returns the text that is complete so far, `end` the rest. */
  stream(): { push(id: number): string; end(): string };
}
