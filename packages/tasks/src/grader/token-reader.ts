// A cursor over tokens: what the parsers of expressions and answers look at and skip.
import type { Token } from "./lex.ts";
import { Unreadable } from "./limits.ts";

export class TokenReader {
  protected at = 0;
  /** Its own list: parsers split and drop tokens in it. */
  protected readonly tokens: Token[];

  constructor(tokens: readonly Token[]) {
    this.tokens = [...tokens];
  }

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.at + ahead];
  }
  next(): Token | undefined {
    return this.tokens[this.at++];
  }
  atEnd(): boolean {
    return this.at >= this.tokens.length;
  }
  closes(): boolean {
    const token = this.peek();
    return token?.t === "op" && [")", "]", "}", "\\}", "\\\\", "&"].includes(token.text);
  }
  isOp(text: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token?.t === "op" && token.text === text;
  }
  skipOp(text: string): boolean {
    if (!this.isOp(text)) return false;
    this.at++;
    return true;
  }
  isCommand(...names: string[]): boolean {
    const token = this.peek();
    return token?.t === "cmd" && names.includes(token.name);
  }
  skipKind(kind: Token["t"]): boolean {
    if (this.peek()?.t !== kind) return false;
    this.at++;
    return true;
  }
  expectOp(...texts: string[]): string {
    const token = this.next();
    if (token?.t === "op" && texts.includes(token.text)) return token.text;
    throw new Unreadable(`expected ${texts.join(" or ")}`);
  }
  skipCommand(...names: string[]): boolean {
    if (!this.isCommand(...names)) return false;
    this.at++;
    return true;
  }
}
