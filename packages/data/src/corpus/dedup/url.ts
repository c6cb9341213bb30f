// URL normalisation for duplicate detection: what differs only here is the same page.

/** Parameters that are never content, on whatever site. */
const TRACKING =
  /^(?:utm_[a-z]+|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|yclid|twclid|mc_[ce]id|igshid|ref_src|ref_url|_ga|_gl|phpsessid|jsessionid|aspsessionid\w*|cftoken)$/i;
/** Names that hold a session on some sites and an article, a sitting or a user on others: the value decides. */
const SESSION = /^(?:s|sid|sess|session|sessionid|session_id|sessid|zenid|oscsid|cfid|token|auth|key)$/i;
/** Names of where a visitor came from, or of what is referred to: the value decides. */
const SOURCE = /^(?:ref|referrer|referer|source|src|from|campaign|spm)$/i;

/** Whether a value is made by a machine for one visit: long, and of letters and digits mixed. */
function isSession(value: string): boolean {
  if (/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(value)) return true;
  if (!/^[\w+/=.,~-]{16,}$/.test(value)) return false;
  const digits = value.match(/\d/g)?.length ?? 0;
  // Words joined by hyphens are a title.
  return digits >= 2 && digits < value.length && !/^[a-z]+(?:[-_][a-z0-9]+){2,}$/i.test(value);
}

/** Whether a value names a place that sends visitors: a word, a host or an address. */
function isSource(value: string): boolean {
  return (
    /^[a-z_-]{0,24}$/i.test(value) || /^(?:https?:\/\/|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,6}(?:$|\/))/i.test(value)
  );
}

function isTracking(name: string, value: string): boolean {
  if (TRACKING.test(name)) return true;
  if (SESSION.test(name)) return isSession(value);
  // A source that is a word may be content too ("source=wikipedia"): only the plainest of the names is dropped for one.
  if (SOURCE.test(name)) return /^ref/i.test(name) ? isSource(value) : /^https?:/i.test(value);
  return false;
}

/**
 * Scheme and `www.` dropped, host lower-cased, default ports, fragments, tracking and session parameters removed by
 * name or, where the name is content elsewhere, by value,
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
    .replace(/;(?:jsessionid|phpsessid|sid)=[^/?#;]*/i, "")
    .replace(/\/\([SAFX]\([0-9a-z]{20,}\)\)(?=\/|$)/i, "")
    .replace(/%[0-9a-f]{2}/gi, (code) => code.toUpperCase())
    .replace(/\/{2,}/g, "/")
    .replace(/\/(index|default)\.(html?|php|aspx?)$/i, "/")
    .replace(/\/+$/, "");
  const pairs = [...parsed.searchParams].filter(([key, value]) => !isTracking(key, value));
  pairs.sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0));
  const query = pairs.length > 0 ? `?${new URLSearchParams(pairs).toString()}` : "";
  return `${host}${port}${path}${query}`;
}
