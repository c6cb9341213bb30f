// Scripts and the languages that are written in them, by ISO 639 codes (those of lid.176, two letters where there are two).

/** Languages by script, of which a word's script leaves one or more. Names of scripts are Unicode's. */
const LANGUAGES: Record<string, string> = {
  Latin:
    "af als an ast az bar bcl br bs ca cbk ceb co cs cy da de diq dsb eml en eo es et eu fi fr frr fy ga gd gl gn gv hif hr hsb ht hu ia id ie ilo io is it jbo jv ku kw la lb li lmo lt lv mg min ms mt mwl nah nap nds nl nn no oc pam pfl pl pms pt qu rm ro sc scn sco sh sk sl so sq sr su sv sw tk tl tr uz vec vep vi vls vo wa war yo",
  Cyrillic: "av ba be bg bxr ce cv kk krc kv ky lez mhr mk mn mrj myv os ru rue sah sr tg tt tyv uk uz xal",
  Arabic: "ar arz azb ckb fa lrc mzn pnb ps sd ug ur",
  Devanagari: "bh dty gom hi mai mr ne new sa",
  Bengali: "as bn bpy",
  Hebrew: "he yi",
  Georgian: "ka xmf",
  Han: "ja wuu yue zh",
  Hiragana: "ja",
  Katakana: "ja",
  Hangul: "ko",
  Thai: "th",
  Greek: "el",
  Armenian: "hy",
  Ethiopic: "am",
  Tibetan: "bo",
  Thaana: "dv",
  Gujarati: "gu",
  Khmer: "km",
  Kannada: "kn",
  Lao: "lo",
  Malayalam: "ml",
  Myanmar: "my",
  Oriya: "or",
  Gurmukhi: "pa",
  Sinhala: "si",
  Tamil: "ta",
  Telugu: "te",
};

export const scripts = Object.keys(LANGUAGES);

const byScript = new Map(Object.entries(LANGUAGES).map(([script, codes]) => [script, codes.split(" ")]));
const known = new Set([...byScript.values()].flat());

export const isLanguage = (code: string): boolean => known.has(code);

export const languageError = (code: string): string =>
  `no language ${code}: it is an ISO 639 code in lower case, without a region; there are ${[...known].sort().join(", ")}`;

/** Whether a language is written in a script. */
export const writes = (language: string, script: string): boolean =>
  byScript.get(script)?.includes(language) ?? false;

/** Whether a word's script decides by itself whether it may be of a language, or an identifier must choose among its languages. */
export const isDecisive = (script: string): boolean => script === "Han" || byScript.get(script)?.length === 1;

/** Whether some script of the language is shared, so that an identifier is needed. */
export const needsIdentifier = (language: string): boolean =>
  scripts.some((script) => writes(language, script) && !isDecisive(script));
