// Text for HTML: escaping, and the two ways in which reports write numbers.

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** The text with the characters that mean something in HTML replaced, for element content and quoted attributes. */
export const escapeHtml = (text: string) => text.replace(/[&<>"]/g, (ch) => ESCAPES[ch]!);

/** A share in 0 … 1 as `12.3 %`. */
export const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** An integer with thousands separated by commas; nothing for undefined. */
export const count = (n: number | undefined) => (n === undefined ? "" : n.toLocaleString("en-US"));
