// URL normalisation for duplicate detection: what differs only here is the same page.

/** Parameters that are never content, on whatever site. */
const TRACKING = new RegExp(
  `^(?:${[
    // Campaigns: of Google, Matomo, HubSpot, Marketo, Webtrends, Adobe, Eloqua, AT Internet and others.
    "utm_\\w+|ga_(?:source|medium|term|content|campaign|place)|gad_\\w+|(?:mtm|pk|piwik|matomo)_\\w+|hsa_\\w+|_?hs(?:enc|mi|ctatracking)|mkt_tok",
    "wt_(?:mc|zmc)|wt\\.(?:mc|tsrc|nav)_?\\w*|s_cid|s_kwcid|ef_id|elq\\w*|at_(?:medium|campaign|custom\\d|link\\w*|send\\w*|ptr\\w*|recipient\\w*)|oly_(?:enc|anon)_id|vero_(?:id|conv)|itm_\\w+|cm_mm[ca]\\d?|cmpid|trk|trkcampaign|trkinfo|_openstat|__s|sc_(?:campaign|channel|content|medium|outcome|geo|country)|rb_clickid|ml_subscriber\\w*|ncid|spm_id_from",
    // Clicks and visitors.
    "gclid|gclsrc|dclid|gbraid|wbraid|fbclid|fb_(?:action_ids|action_types|source|ref)|msclkid|yclid|ysclid|twclid|ttclid|li_fat_id|srsltid|epik|mc_[ce]id|igsh(?:id)?|ref_src|ref_url|_ga|_gl|_gid",
    // Sessions of servers, and a page's own form for an answer to a comment.
    "phpsessid|jsessionid|aspsessionid\\w*|cftoken|replytocom",
  ].join("|")})$`,
  "i",
);
/** Names that hold a session on some sites and an article, a sitting or a user on others: the value decides. */
const SESSION = /^(?:s|sid|sess|session|sessionid|session_id|sessid|zenid|oscsid|cfid|token|auth|key|si)$/i;
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

/** A path without parameters of campaigns that were joined to its end by &. From the end on: an expression would be quadratic in them. */
function withoutJoined(path: string): string {
  for (let end = path.length; ; ) {
    const at = end > 0 ? path.lastIndexOf("&", end - 1) : -1;
    if (at < 0 || !/^&(?:utm_\w+|fbclid|gclid)=[^/]*$/i.test(path.slice(at, end))) return path.slice(0, end);
    end = at;
  }
}

/** An escape in capitals, or the character that needs none. */
function escaped(code: string): string {
  const character = String.fromCharCode(Number.parseInt(code.slice(1), 16));
  return /[\w.~-]/.test(character) ? character : code.toUpperCase();
}

/**
 * Scheme and `www.` dropped, host lower-cased, default ports, fragments but `#!…`, tracking and session parameters removed by
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
  const path = withoutJoined(parsed.pathname)
    .replace(/;(?:jsessionid|phpsessid|sid)=[^/?#;]*/i, "")
    .replace(/\/\([SAFX]\([0-9a-z]{20,}\)\)(?=\/|$)/i, "")
    .replace(/%[0-9a-f]{2}/gi, escaped)
    .replace(/\/{2,}/g, "/")
    .replace(/\/(index|default)\.(html?|php|aspx?)$/i, "/")
    .replace(/\/+$/, "");
  const all = [...parsed.searchParams];
  // ColdFusion's pair of a session.
  const visit = all.some(([key]) => /^cftoken$/i.test(key));
  const pairs = all.filter(([key, value]) => !isTracking(key, value) && !(visit && /^cfid$/i.test(key)));
  pairs.sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0));
  const query = pairs.length > 0 ? `?${new URLSearchParams(pairs).toString()}` : "";
  // Behind #! stands the page that a script shows.
  const shown = /^#!./.test(parsed.hash) ? parsed.hash : "";
  return `${host}${port}${path}${query}${shown}`;
}
