// What each UTF-16 code unit is to the normal forms of a text: space, part of a word, a mark, Han and its kin; and its
// lower-case form. Made once from the regular expressions that define it.

export const SPACE = 0;
export const WORD = 1;
export const MARK = 2;
/** Part of a word that counts as a word of its own: Han, kana, Hangul. */
export const HAN = 3;
/** Half of a pair: the code point decides. */
export const HALF = 4;

const IS_WORD = /[\p{L}\p{N}]/u;
const IS_SPACE = /[\s\0]/;
const IS_HAN = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/;

export interface CharClasses {
  /** Class of each code unit. */
  kind: Uint8Array;
  /** Lower-case form of each code unit; those with a form of several units are not served (`needsContext`). */
  lower: Uint16Array;
  /** Class and lower-case form of a code point beyond the basic plane. */
  beyond(codePoint: number): { kind: number; lower: number };
}

/** Capital sigma lower-cases by its neighbours, dotted I to two characters: such texts take the slow way. */
export const needsContext = /[\u0130\u03a3]/;

function kindOf(lower: string): number {
  if (IS_WORD.test(lower)) return IS_HAN.test(lower) ? HAN : WORD;
  return IS_SPACE.test(lower) ? SPACE : MARK;
}

let made: CharClasses | undefined;

export function charClasses(): CharClasses {
  if (made) return made;
  const kind = new Uint8Array(0x10000);
  const lower = new Uint16Array(0x10000);
  for (let unit = 0; unit < 0x10000; unit++) {
    if (unit >= 0xd800 && unit < 0xe000) {
      kind[unit] = HALF;
      continue;
    }
    const form = String.fromCharCode(unit).toLowerCase();
    kind[unit] = kindOf(form);
    lower[unit] = form.charCodeAt(0);
  }
  const known = new Map<number, { kind: number; lower: number }>();
  const beyond = (codePoint: number) => {
    let entry = known.get(codePoint);
    if (!entry) {
      const form = String.fromCodePoint(codePoint).toLowerCase();
      entry = { kind: IS_WORD.test(form) ? WORD : MARK, lower: form.codePointAt(0)! };
      known.set(codePoint, entry);
    }
    return entry;
  };
  made = { kind, lower, beyond };
  return made;
}
