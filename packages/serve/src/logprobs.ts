// Log-probabilities in the two forms of OpenAI's API: the old one of completions and the new one of chat.
import type { Tokenizer } from "@nsa/data";
import type { TokenLogprob } from "@nsa/model";

/** A token of the prompt or of an output and its log-probability. */
export interface TokenWithLogprob {
  id: number;
  /** None for a prompt's first token. */
  logp: number | null;
  top: readonly TokenLogprob[] | null;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text of a token; one that is part of a character reads `bytes:\xe2\x80`. */
export function tokenText(tokenizer: Tokenizer, id: number): string {
  const bytes = tokenizer.bytesOf(id);
  try {
    return strict.decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (b) => `\\x${b.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

/** The form of /v1/completions; offsets count from `offset` characters. */
export function completionLogprobs(
  tokenizer: Tokenizer,
  tokens: readonly TokenWithLogprob[],
  options: { top: number; offset: number },
) {
  const texts = tokens.map((t) => tokenText(tokenizer, t.id));
  const offsets: number[] = [];
  let at = options.offset;
  for (const { id } of tokens) {
    offsets.push(at);
    at += tokenizer.decode([id], { special: true }).length;
  }
  return {
    tokens: texts,
    token_logprobs: tokens.map((t) => t.logp),
    top_logprobs: options.top === 0 ? null : tokens.map((t) => t.top && topOf(tokenizer, t, options.top)),
    text_offset: offsets,
  };
}

/** The likeliest tokens and the token itself, by text. */
function topOf(tokenizer: Tokenizer, token: TokenWithLogprob, top: number): Record<string, number> {
  const all = token.top!.slice(0, top).map(({ id, logp }) => [tokenText(tokenizer, id), logp] as const);
  const own = [tokenText(tokenizer, token.id), token.logp!] as const;
  return Object.fromEntries([own, ...all]);
}

/** The form of /v1/chat/completions. */
export function chatLogprobs(tokenizer: Tokenizer, tokens: readonly TokenWithLogprob[], top: number) {
  const entry = (id: number, logprob: number) => ({
    token: tokenText(tokenizer, id),
    logprob,
    bytes: Array.from(tokenizer.bytesOf(id)),
  });
  return {
    content: tokens.map(({ id, logp, top: best }) => ({
      ...entry(id, logp!),
      top_logprobs: (best ?? []).slice(0, top).map((t) => entry(t.id, t.logp)),
    })),
    refusal: null,
  };
}
