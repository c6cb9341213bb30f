// How deep a page nests, by its tags alone: parsers take time that grows with the square of the depth, and walks of the
// tree as much stack. Browsers stop at 512.

/** Elements without content, and those whose end another start implies: they do not nest. */
const FLAT = new Set(
  "area base br col embed hr img input link meta param source track wbr p li td th tr dt dd option optgroup thead tbody tfoot colgroup rt rp".split(
    " ",
  ),
);
/** Content that is no markup. */
const RAW = new Set(["script", "style", "textarea", "title", "xmp"]);
const NAME = /[a-z][a-z0-9:-]*/iy;

/** Whether more than `most` elements are open at once. */
export function nestsDeeperThan(html: string, most: number): boolean {
  let depth = 0;
  for (let i = html.indexOf("<"); i >= 0; i = html.indexOf("<", i + 1)) {
    if (html.startsWith("<!--", i)) {
      const end = html.indexOf("-->", i + 4);
      if (end < 0) return false;
      i = end;
      continue;
    }
    const closes = html[i + 1] === "/";
    NAME.lastIndex = i + (closes ? 2 : 1);
    const name = NAME.exec(html)?.[0].toLowerCase();
    if (!name || FLAT.has(name)) continue;
    if (closes) {
      if (depth > 0) depth--;
      continue;
    }
    const end = html.indexOf(">", i);
    if (end < 0) return false;
    if (html[end - 1] === "/") continue;
    if (RAW.has(name)) {
      const close = html.indexOf(`</${name}`, end);
      if (close < 0) return false;
      i = close;
      continue;
    }
    if (++depth > most) return true;
  }
  return false;
}
