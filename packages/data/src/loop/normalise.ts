// The classifier's view of a page: one line, lower case, punctuation as words of its own.

/** Title and text as one fastText line. Marks such as `$`, `\` and `=` are kept: they tell mathematics apart. */
export function classifierLine(title: string, text: string): string {
  return `${title} ${text}`
    .toLowerCase()
    .replace(/([^\p{L}\p{N}\s])/gu, " $1 ")
    .replace(/[\s\0]+/g, " ")
    .trim();
}
