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
