// Pictures of formulas: the source in the address of whatever service drew it, else in the alternative text.
import type { DomElement } from "../dom.ts";
import { attributeSource } from "./sources.ts";
import { hasTexMarks, isFormula, isProse } from "./tex.ts";

/** Parameters that hold a formula, whatever the service. */
const PARAMETER = /^(?:tex|latex|math|chl|eq|equation|formula|expr|expression|from|txt|code|input|m|f|s)$/i;
/** Names of programs, folders and hosts that draw formulas. */
const SERVICE =
  /(?:la|ma|mime)?tex(?![a-z])|tex(?:\.cgi|render|ify|\.php|vc)|mathtran|mathurl|codecogs|equation|formula|(?:^|[/.])math(?:[/.]|$)|upmath|quicklatex|katex|eqn/i;
/** Where signs are escaped, a bare + is a form's blank; TeX written into an address by hand means a plus. */
const FORM_ENCODED = /%(?:2B|5C|7B|5E|3D)/i;
const PICTURE_NAME = /\.(?:png|gif|jpe?g|svg|webp|bmp)$/i;
/** Options in front of a formula. */
const OPTIONS =
  /^\s*(?:\\(?:inline|dpi\s*\{\d+\}|bg_\w+|bg\{[^{}]*\}|fn_\w+|fg_\w+|color\{[^{}]*\}(?=\s*\\(?:inline|dpi|bg))|(?:tiny|small|normalsize|large|Large|LARGE|huge)(?![a-zA-Z])|opaque|png|gif)\s*)+/;

function decoded(text: string, plusIsBlank: boolean): string {
  const plain = plusIsBlank ? text.replace(/\+/g, " ") : text;
  try {
    return decodeURIComponent(plain);
  } catch {
    // A bare % is a comment's or a mistake: the sound escapes around it are read.
    return plain.replace(/(?:%[0-9a-f]{2})+/gi, (run) => {
      try {
        return decodeURIComponent(run);
      } catch {
        return run;
      }
    });
  }
}

function cleaned(tex: string): string {
  return tex
    .replace(/&(?:amp;)?space;/g, " ")
    .replace(/&(?:amp;)?plus;/g, "+")
    .replace(/&amp;/g, "&")
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(OPTIONS, "")
    .trim();
}

const plausible = (tex: string): boolean => tex !== "" && isFormula(tex);

/** A formula in an address: as a parameter, as the whole query, or as the end of the path. */
function texOfAddress(src: string): string | undefined {
  if (src === "" || /^data:/i.test(src)) return undefined;
  const question = src.indexOf("?");
  const path = question < 0 ? src : src.slice(0, question);
  const query = question < 0 ? "" : src.slice(question + 1).replace(/#.*$/, "");
  const service = SERVICE.test(path);
  if (query !== "") {
    const pairs = query.split("&").map((p) => /^([^=]*)=(.*)$/s.exec(p));
    for (const pair of pairs) {
      if (!pair || !PARAMETER.test(pair[1]!)) continue;
      const value = cleaned(decoded(pair[2]!, FORM_ENCODED.test(pair[2]!)));
      if (plausible(value) && (service || hasTexMarks(value) || /cht=tx/.test(query))) return value;
    }
    if (service && !pairs.every((p) => p && /^[a-z_-]+$/i.test(p[1]!) && !hasTexMarks(p[0]))) {
      const whole = cleaned(decoded(query, false));
      if (plausible(whole)) return whole;
    }
  }
  const tail =
    /(?:\/(?:svg|png|gif|jpg|pdf|render|tex|latex|math|equation|eq|formula)\/)([^/?#][^?#]*)$/i.exec(
      src,
    )?.[1];
  if (service && tail) {
    const last = cleaned(decoded(tail, false));
    if (!PICTURE_NAME.test(last) && plausible(last) && !/^[\da-f]{8,}$/i.test(last)) return last;
  }
  return undefined;
}

/** Attributes that hold the source on purpose. */
const SOURCES = [
  "data-latex",
  "data-tex",
  "data-math",
  "data-formula",
  "data-equation",
  "data-katex",
  "data-expr",
  "data-eq",
  "latex",
  "tex",
];

const MARKED =
  /(?:^|[\s_-])(?:tex|latex|math|equation|formula\w*|eqn|mwe-math[\w-]*|ql-img[\w-]*|wirisformula|mathjax|katex|texrender|teximage)(?:$|[\s_-])/i;

/** MathML in a Wiris picture, whose signs are written as guillemets. */
export function wirisMathml(img: DomElement): string | undefined {
  const value = img.getAttribute("data-mathml") ?? "";
  if (!/[«<]math/.test(value)) return undefined;
  return value.replace(/«/g, "<").replace(/»/g, ">").replace(/¨/g, '"').replace(/§/g, "&").replace(/`/g, "'");
}

/** TeX of a picture; undefined for one that is no formula. */
export function texOfImage(img: DomElement): string | undefined {
  for (const name of SOURCES) {
    const value = img.getAttribute(name);
    if (value && plausible(value)) return value;
  }
  const named = attributeSource(img);
  if (named !== undefined) return named;
  for (const name of ["src", "data-src", "data-original", "data-lazy-src", "data-actualsrc", "data"]) {
    const tex = texOfAddress((img.getAttribute(name) ?? "").trim());
    if (tex !== undefined) return tex;
  }
  const src = img.getAttribute("src") ?? img.getAttribute("data-src") ?? "";
  const names = `${img.getAttribute("class") ?? ""} ${img.getAttribute("id") ?? ""}`;
  const address =
    /\/(?:math|tex|latex|equations?|formulas?|_images\/math|imgmath|filter\/tex|numberedequations?|inlineequations?)\//i.test(
      src,
    );
  const expected =
    MARKED.test(names) ||
    img.hasAttribute("eeimg") ||
    address ||
    SERVICE.test(src.replace(/\?.*$/s, "").replace(/^.*\//, ""));
  for (const name of ["alt", "title"]) {
    // Canvas says what the text is.
    const text = (img.getAttribute(name) ?? "").trim().replace(/^(?:la)?tex:\s*/i, "");
    if (text === "") continue;
    if (
      hasTexMarks(text) &&
      (expected || !isProse(text) || /\\(?:frac|sum|int|sqrt|alpha|begin)\b|^\s*(?:\$|\\\(|\\\[)/.test(text))
    )
      return cleaned(text);
    if (expected && isFormula(text)) return text;
  }
  return undefined;
}
