// Normalizers by name, as Rust's tokenizers have them: what a text becomes before it is cut into words.
import { NsaError } from "@nsa/core";
import type { NormalizerJson } from "./json.ts";
import { bytesAsChars, patternOf } from "./pre-tokenizers.ts";

/** `inner`: the text continues another one, so that nothing is put in front. */
export type Normalize = (text: string, inner: boolean) => string;

/** Letter by letter: no sigma is the last one of a word. */
const lowercase = (text: string) => Array.from(text, (c) => c.toLowerCase()).join("");

/** Ideographs, around which BERT puts blanks. */
const IDEOGRAPHS =
  /[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]/gu;
const CONTROLS = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Cn}\p{Co}\ufffd]/gu;

function bert(json: NormalizerJson): Normalize {
  const { clean_text: clean = true, handle_chinese_chars: chinese = true, lowercase: lower = true } = json;
  const strip = json.strip_accents ?? lower;
  return (text) => {
    let t = text;
    if (clean) t = t.replace(CONTROLS, "").replace(/\p{White_Space}/gu, " ");
    if (chinese) t = t.replace(IDEOGRAPHS, " $& ");
    if (strip) t = t.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lower ? lowercase(t) : t;
  };
}

const NMT_DROPPED = /[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]/gu;
const NMT_BLANKS = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/gu;

function stripped(json: NormalizerJson): Normalize {
  return (text) => {
    const left = json.strip_left === false ? text : text.replace(/^\p{White_Space}+/u, "");
    return json.strip_right === false ? left : left.replace(/(?<!\p{White_Space})\p{White_Space}+$/u, "");
  };
}

function unserved(type: string): NsaError {
  return new NsaError({
    code: "tokenizer_unsupported",
    what: `the normalizer ${type}`,
    why: "it is not served here",
    fix: "train a tokenizer with `nsa tokenizer train`, or use a checkpoint with another one",
    exitCode: 4,
  });
}

/**
 * The normalizer of a `normalizer` entry; undefined where the text stays as it is. Throws NsaError `tokenizer_unsupported`,
 * `tokenizer_expression_unsupported` (exit 4).
 */
export function normalizerOf(json: NormalizerJson | null | undefined): Normalize | undefined {
  if (!json) return undefined;
  switch (json.type) {
    case "Sequence": {
      const parts = (json.normalizers ?? []).flatMap((one) => normalizerOf(one) ?? []);
      return (text, inner) => parts.reduce((t, part) => part(t, inner), text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      const form = json.type;
      return (text) => text.normalize(form);
    }
    case "Lowercase":
      return lowercase;
    case "StripAccents":
      return (text) => text.replace(/\p{M}/gu, "");
    case "Strip":
      return stripped(json);
    case "Replace": {
      const [pattern, content] = [patternOf(json.pattern), json.content ?? ""];
      return (text) => text.replace(pattern, () => content);
    }
    case "Prepend":
      return (text, inner) => (text === "" || inner ? text : (json.prepend ?? "") + text);
    case "Nmt":
      return (text) => text.replace(NMT_DROPPED, "").replace(NMT_BLANKS, " ");
    case "BertNormalizer":
      return bert(json);
    case "ByteLevel":
      return bytesAsChars;
    default:
      throw unserved(json.type);
  }
}
