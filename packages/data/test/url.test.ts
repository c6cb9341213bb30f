// Every rule by which two addresses are one page, and what does not make them one.
import { expect, test } from "vitest";
import { normaliseUrl } from "../src/index.ts";

test.each([
  ["http://a.org/x", "a.org/x"],
  ["https://www.A.ORG./x/", "a.org/x"],
  ["https://a.org:443/x", "a.org/x"],
  ["http://a.org:8080/x", "a.org:8080/x"],
  ["http://www2.a.org/X", "www2.a.org/X"],
  ["https://a.org", "a.org"],
  ["https://a.org/index.html", "a.org"],
  ["https://a.org/b/default.aspx", "a.org/b"],
  ["https://a.org/b/index.php?p=2", "a.org/b?p=2"],
  ["https://a.org/b/index.txt", "a.org/b/index.txt"],
  ["https://a.org/reindex.html", "a.org/reindex.html"],
  ["https://a.org//b///c//", "a.org/b/c"],
  ["https://a.org/b#part", "a.org/b"],
  ["https://a.org/b;jsessionid=1F2", "a.org/b"],
  ["https://a.org/%c3%a9", "a.org/%C3%A9"],
  ["https://a.org/b?utm_source=x&gclid=1&fbclid=2&ref=y&PHPSESSID=z", "a.org/b"],
  ["https://a.org/b?reference=y&utm=1&side=2", "a.org/b?reference=y&side=2&utm=1"],
  ["https://a.org/b?b=2&a=3&a=1", "a.org/b?a=1&a=3&b=2"],
  ["https://a.org/b?q=A", "a.org/b?q=A"],
  ["  Not A Url ", "not a url"],
])("%s", (url, key) => {
  expect(normaliseUrl(url)).toBe(key);
});

test("parameters_of_campaigns_clicks_and_sessions_are_no_part_of_a_page", () => {
  const names =
    "utm_source utm_id ga_source gad_source mtm_campaign pk_kwd piwik_kwd matomo_cid hsa_acc _hsenc hsmi hsCtaTracking mkt_tok wt_mc wt_zmc WT.mc_id WT.nav s_cid s_kwcid ef_id elqTrackId at_medium at_campaign at_custom1 oly_enc_id vero_id itm_source cm_mmc cmpid trk _openstat __s sc_campaign rb_clickid ncid gclid gclsrc dclid gbraid wbraid fbclid fb_action_ids msclkid yclid ysclid twclid ttclid li_fat_id srsltid epik mc_eid igsh ref_src _ga _gl phpsessid jsessionid replytocom".split(
      " ",
    );
  for (const name of names) {
    expect(normaliseUrl(`https://a.org/b?${name}=Xa1`), name).toBe("a.org/b");
    expect(normaliseUrl(`https://a.org/b?id=2&${name.toUpperCase()}=x`), name).toBe("a.org/b?id=2");
  }
  const content =
    "id p page q s sid t v lang article topic threadid postid cat tag year month date offset start limit sort order view action do mode name file title section chapter item product question problem lesson course unit level ref_id utm at pk trackid".split(
      " ",
    );
  for (const name of content)
    expect(normaliseUrl(`https://a.org/b?${name}=5`), name).not.toBe(
      normaliseUrl(`https://a.org/b?${name}=6`),
    );
});

test.each([
  ["https://a.org/%7euser/%41", "a.org/~user/A"],
  ["https://a.org/#!/page/2", "a.org#!/page/2"],
  ["https://a.org/b&utm_source=x&utm_medium=y", "a.org/b"],
  ["https://a.org/b&c=1&utm_source=x&FBCLID=", "a.org/b&c=1"],
  ["https://a.org/b&utm_source=x/c", "a.org/b&utm_source=x/c"],
  ["https://a.org/b?CFID=12&CFTOKEN=99f", "a.org/b"],
  ["https://a.org/b?CFID=12", "a.org/b?CFID=12"],
  ["https://a.org/b?si=a8Fq2-0Lw_9xKd71", "a.org/b"],
])("%s_is_%s", (url, key) => expect(normaliseUrl(url)).toBe(key));

test("parameters_joined_to_a_path_are_read_once", () => {
  // Ten minutes of work where each of them begins another search for the end.
  const path = `b${"&utm_a=".repeat(200_000)}`;
  expect(normaliseUrl(`https://a.org/${path}`)).toBe("a.org/b");
  expect(normaliseUrl(`https://a.org/${path}/c`)).toBe(`a.org/${path}/c`);
});
