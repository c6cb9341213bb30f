// Characters that stand around what later passes must not touch. They are no characters of any text.

/** Around a formula that is delimited already. */
export const MATH_START = "\ufdd2";
export const MATH_END = "\ufdd3";
/** Around code. */
export const CODE_START = "\ufdd0";
export const CODE_END = "\ufdd1";
/** A line break of the source that the page shows as a blank. */
export const FOLDED = "\ufdd4";

/** The same characters in a page are dropped. */
export const NO_CHARACTERS = /[\ufdd0-\ufdef\ufffe\uffff]/g;
