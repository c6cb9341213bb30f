// Marks over and under a formula: accents, braces, arrows.

/** Accent by its character: one letter wide, and stretched over several. */
const OVER: Record<string, [string, string]> = {
  "^": ["hat", "widehat"],
  ˆ: ["hat", "widehat"],
  "\u0302": ["hat", "widehat"],
  "¯": ["bar", "overline"],
  ˉ: ["bar", "overline"],
  "‾": ["bar", "overline"],
  "-": ["bar", "overline"],
  "−": ["bar", "overline"],
  "–": ["bar", "overline"],
  "―": ["overline", "overline"],
  "─": ["overline", "overline"],
  "\u0304": ["bar", "overline"],
  "\u0305": ["overline", "overline"],
  _: ["overline", "overline"],
  "~": ["tilde", "widetilde"],
  "˜": ["tilde", "widetilde"],
  "∼": ["tilde", "widetilde"],
  "\u0303": ["tilde", "widetilde"],
  "˙": ["dot", "dot"],
  ".": ["dot", "dot"],
  "⋅": ["dot", "dot"],
  "\u0307": ["dot", "dot"],
  "¨": ["ddot", "ddot"],
  "\u0308": ["ddot", "ddot"],
  "⃛": ["dddot", "dddot"],
  "…": ["dddot", "dddot"],
  ˇ: ["check", "widecheck"],
  "\u030c": ["check", "widecheck"],
  "˘": ["breve", "breve"],
  "\u0306": ["breve", "breve"],
  "´": ["acute", "acute"],
  "\u0301": ["acute", "acute"],
  "`": ["grave", "grave"],
  "\u0300": ["grave", "grave"],
  "˚": ["mathring", "mathring"],
  "\u030a": ["mathring", "mathring"],
  "→": ["vec", "overrightarrow"],
  "⃗": ["vec", "overrightarrow"],
  "⇀": ["vec", "overrightharpoon"],
  "←": ["overleftarrow", "overleftarrow"],
  "↔": ["overleftrightarrow", "overleftrightarrow"],
  "⏞": ["overbrace", "overbrace"],
  "︷": ["overbrace", "overbrace"],
  "⏟": ["overbrace", "overbrace"],
  "⎴": ["overbracket", "overbracket"],
  "⏜": ["overparen", "overparen"],
};
const UNDER: Record<string, string> = {
  _: "underline",
  "‾": "underline",
  "¯": "underline",
  "―": "underline",
  "─": "underline",
  "\u0332": "underline",
  "⏟": "underbrace",
  "︸": "underbrace",
  "⏞": "underbrace",
  "⎵": "underbracket",
  "→": "underrightarrow",
  "←": "underleftarrow",
  "↔": "underleftrightarrow",
  "~": "utilde",
};

/** Command of a mark over a base; `wide` where it stretches. */
export function overCommand(mark: string, wide: boolean): string | undefined {
  return OVER[mark.trim()]?.[wide ? 1 : 0];
}

export function underCommand(mark: string): string | undefined {
  return UNDER[mark.trim()];
}

/** Arrows that take what stands over them: `\xrightarrow{f}`. */
export const LONG_ARROWS: Record<string, string> = {
  "→": "xrightarrow",
  "⟶": "xrightarrow",
  "←": "xleftarrow",
  "⟵": "xleftarrow",
  "↔": "xleftrightarrow",
  "⇒": "xRightarrow",
  "⇐": "xLeftarrow",
  "↦": "xmapsto",
  "↪": "xhookrightarrow",
  "=": "xlongequal",
};
