// URL normalisation for duplicate detection: what differs only here is the same page.

const TRACKING =
  /^(utm_[a-z]+|gclid|fbclid|msclkid|mc_[ce]id|igshid|ref|ref_src|sessionid|phpsessid|jsessionid|sid)$/i;

/**
 * Scheme and `www.` dropped, host lower-cased, default ports, fragments, tracking and session parameters removed,
 * remaining parameters sorted, percent-escapes upper-cased, `index.html` and trailing slashes cut.
 * A string that is no URL is returned trimmed and lower-cased.
 */
export function normaliseUrl(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url.trim());
  } catch {
    return url.trim().toLowerCase();
  }
  const host = parsed.hostname.replace(/^www\./, "").replace(/\.$/, "");
  const port = parsed.port ? `:${parsed.port}` : "";
  const path = parsed.pathname
    .replace(/;jsessionid=[^/?#]*/i, "")
    .replace(/%[0-9a-f]{2}/gi, (code) => code.toUpperCase())
    .replace(/\/{2,}/g, "/")
    .replace(/\/(index|default)\.(html?|php|aspx?)$/i, "/")
    .replace(/\/+$/, "");
  const pairs = [...parsed.searchParams].filter(([key]) => !TRACKING.test(key));
  pairs.sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0));
  const query = pairs.length > 0 ? `?${new URLSearchParams(pairs).toString()}` : "";
  return `${host}${port}${path}${query}`;
}
