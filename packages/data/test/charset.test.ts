// Encodings of pages against the encoding standard: every byte sequence of its indexes, every label, and the HTML standard's
// rules for finding the declaration.
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { decodePage } from "../src/index.ts";

/** Sequences that the standard's index maps, and the start of SHA-256 over "bytes:code points" lines of them, made from the index files. */
const INDEXES: [string, number, string][] = [
  ["ibm866", 128, "4f11f5604be1bd16b7df3d09681201ec"],
  ["iso-8859-2", 128, "3bcce93bca0d6a7b8fd72fa842622a43"],
  ["iso-8859-3", 121, "1da80ebd69c57129a081898ef6c7700a"],
  ["iso-8859-4", 128, "00ce1fd8bec5acdc87a0d0936e633594"],
  ["iso-8859-5", 128, "9c25f626837ccf7cfcc074a9100b0f20"],
  ["iso-8859-6", 83, "1a8e8d8fa00c92df672859bd6bba6462"],
  ["iso-8859-7", 125, "a5eb114a0b075da4436640c393a7eaea"],
  ["iso-8859-8", 92, "b9824bbe6be1e731c564aed847a22f3e"],
  ["iso-8859-8-i", 92, "b9824bbe6be1e731c564aed847a22f3e"],
  ["iso-8859-10", 128, "6ad4f3ede6cf5d52e423da7147c5e397"],
  ["iso-8859-13", 128, "f4a5ff60446a8bca3f614ee15c989649"],
  ["iso-8859-14", 128, "01880639f816e34bcc7f5757cdeef3d1"],
  ["iso-8859-15", 128, "f16d9d718a93d2d1ad6a98fa5936c60d"],
  ["iso-8859-16", 128, "62bd3091867219330017eb7424d55809"],
  ["koi8-r", 128, "ea2f75c460831fd76f27d0a6b376d093"],
  ["koi8-u", 128, "6fb22f7b5a0e55f51dd6a919dcd7eb44"],
  ["macintosh", 128, "7d37a19229b9a31e138ef7ee8c71d558"],
  ["windows-874", 120, "ffafe37491e71be16aeccaccabc2d081"],
  ["windows-1250", 128, "13454108098eee225b8c9768896ad038"],
  ["windows-1251", 128, "9b1af732c5cf152615f1e6bfc053785f"],
  ["windows-1252", 128, "f8ff0d47bf29f7a00626f85525608666"],
  ["windows-1253", 125, "6dad9a403a96d7ec87018f4465245ba2"],
  ["windows-1254", 128, "1db3d0d2c6995c8764050af73793c3a8"],
  ["windows-1255", 118, "42d265dbcc4cb35a0389695220001028"],
  ["windows-1256", 128, "2b5a5489ca5791dfceedefb5f3b8ab43"],
  ["windows-1257", 126, "094a953cbeb46637fb2effc215042e92"],
  ["windows-1258", 128, "c5a6ffbeb01f608dc81cfd3bfb32b77e"],
  ["x-mac-cyrillic", 128, "1969594561ba1f51b273cd9bfd04f47c"],
  ["big5", 18594, "f6c27364a33c89b8086e5352d3b0d3e6"],
  ["euc-kr", 17048, "6e00056206fd90c4cd7ee91c57ab98f4"],
  ["euc-jp", 7399, "74398bef5a3e5fef5283dcc7533b7e4e"],
  ["shift_jis", 9604, "705cfffa9a87e19ac4175511e114fcd4"],
  ["gbk", 23940, "049769cdaf0895a29b2597ad8c86bcd1"],
];

const hex = (numbers: Iterable<number>) => [...numbers].map((n) => n.toString(16)).join(" ");

function* sequences(encoding: string): Generator<number[]> {
  const multi = /^(big5|euc-kr|euc-jp|shift_jis|gbk)$/.test(encoding);
  for (let lead = 0x80; lead < 0x100; lead++) {
    if (!multi) yield [lead];
    else for (let trail = 0x30; trail < 0x100; trail++) yield [lead, trail];
  }
}

test.each(INDEXES)("%s_decodes_by_its_index", (encoding, count, digest) => {
  const hash = createHash("sha256");
  let mapped = 0;
  for (const bytes of sequences(encoding)) {
    const text = decodePage(Uint8Array.from(bytes), `text/html; charset=${encoding}`);
    const points = [...text].map((c) => c.codePointAt(0)!);
    // Two sequences that stand side by side are no member of the index.
    const apart =
      bytes.length === 2 &&
      (text.includes("\ufffd") || (points.length > 1 && ![0x304, 0x30c].includes(points[1]!)));
    if (apart || text === "\ufffd" || (encoding !== "iso-8859-1" && points.length === 0)) continue;
    if (encoding === "gbk" && bytes.length === 2 && points[0] === 0x20ac && bytes[0] === 0x80) continue;
    hash.update(`${hex(bytes)}:${hex(points)}\n`);
    mapped++;
  }
  expect(mapped).toBe(count);
  expect(hash.digest("hex").slice(0, 32)).toBe(digest);
});

/** Text that tells encodings apart, in bytes. */
const SAMPLE = Buffer.from([0xc4, 0xe3, 0xba, 0xc3]);
const AS: Record<string, string> = {
  gbk: "你好",
  "windows-1252": "Äãºã".replace("ºã", "ºÃ"),
  "koi8-r": "дЦ╨ц".replace("╨ц", "╨ц"),
  "windows-1251": "Дгєі".replace("єі", "єГ"),
};
const page = (head: string) => Buffer.concat([Buffer.from(head, "latin1"), Buffer.from("<p>"), SAMPLE]);
const seen = (head: string, type = "text/html") => decodePage(page(head), type).split("<p>").pop();

/** Ways to declare an encoding that count, by the prescan, the XML declaration or a parser that comes to them. */
const COUNTS: string[] = [
  "<meta charset=LABEL>",
  "<META CHARSET=LABEL>",
  '<meta charset="LABEL">',
  "<meta charset='LABEL'>",
  "<meta charset = ' LABEL '>",
  "<meta/charset=LABEL>",
  "<meta\tcharset\n=\r\n'LABEL'/>",
  "<meta id=a charset=LABEL charset=latin1>",
  '<meta name="description" content="charset=latin1" charset="LABEL">',
  '<meta http-equiv="Content-Type" content="text/html; charset=LABEL">',
  '<meta content="text/html; charset=LABEL" http-equiv="content-type">',
  "<meta http-equiv=content-type content=charset=LABEL>",
  "<meta http-equiv=content-type content=\"charset charset = 'LABEL'; x\">",
  '<meta http-equiv=content-type content="text/html;charset=LABEL;x=y">',
  '<!-- <meta charset="latin1"> --><meta charset="LABEL">',
  '<!--><meta charset="LABEL">',
  '<meta name="description" content="set charset=latin1"><meta charset="LABEL">',
  '<meta http-equiv="refresh" content="0; charset=latin1"><meta charset="LABEL">',
  '<meta charset="no such label"><meta charset="LABEL">',
  "<a title='<meta charset=latin1>'></a><meta charset=LABEL>",
  "</p title='<meta charset=latin1>'><meta charset=LABEL>",
  "<!DOCTYPE html><meta charset=LABEL>",
  "<?php charset=latin1 ?><meta charset=LABEL>",
  '<?xml version="1.0" encoding="LABEL"?><html>',
  "<?xml version='1.0' encoding = 'LABEL' ?><html>",
  `<style>${"a{} ".repeat(600)}</style><meta charset=LABEL>`,
  `<!-- ${"x".repeat(3000)} <meta charset=latin1> --><meta charset=LABEL>`,
  `<script>${"// ".repeat(500)} document.write("<meta charset=latin1>")</script><meta charset=LABEL>`,
  `<title>${"long ".repeat(400)} <meta charset=latin1></title><meta http-equiv=content-type content='text/html; charset=LABEL'>`,
];
const LABELS: [string, string][] = [
  ["gbk", "gbk"],
  ["GB2312", "gbk"],
  ["x-gbk", "gbk"],
  ["koi8", "koi8-r"],
  ["x-cp1251", "windows-1251"],
  ["iso-8859-1", "windows-1252"],
  ["x-user-defined", "windows-1252"],
];

test.each(COUNTS)("a_declaration_counts: %s", (form) => {
  for (const [label, encoding] of LABELS)
    expect(seen(form.replace("LABEL", label)), label).toBe(AS[encoding]);
});

/** The same words where they declare nothing. */
const COUNTS_NOT: string[] = [
  '<!-- <meta charset="gbk"> -->',
  '<meta name="description" content="charset=gbk">',
  '<meta content="text/html; charset=gbk">',
  '<meta http-equiv="refresh" content="text/html; charset=gbk">',
  "<metacharset=gbk>",
  "<meta data-charset=gbk>",
  "<p title='<meta charset=gbk>'>",
  "<meta http-equiv=content-type content='text/html; charset=\"gbk'>",
  "<meta http-equiv=content-type content='charset'>",
  "<meta http-equiv=content-type content='text/html; gbk'>",
  "&lt;meta charset=gbk&gt;",
  `<script>${" ".repeat(1100)}"<meta charset=gbk>"</script>`,
  `<title>${" ".repeat(1100)}<meta charset=gbk></title>`,
  `<textarea>${" ".repeat(1100)}<meta charset=gbk></textarea>`,
];

test.each(COUNTS_NOT)("a_declaration_does_not_count: %s", (head) => {
  expect(seen(head)).toBe(AS["windows-1252"]);
  expect(decodePage(Buffer.from(`${head}<p>naïve – 数学`), "text/html")).toContain("naïve – 数学");
});

test.each(["utf-16", "utf-16le", "utf-16be", "unicode", "ucs-2", "UTF-8", "unicode-1-1-utf-8"])(
  "a_page_that_reads_as_ascii_is_not_%s_but_utf_8",
  (label) => {
    for (const head of [`<meta charset=${label}>`, `<?xml version="1.0" encoding="${label}"?>`])
      expect(decodePage(Buffer.from(`${head}<p>naïve – 数学`), "text/html")).toContain("<p>naïve – 数学");
  },
);

test("the_byte_order_mark_comes_before_the_header_and_the_header_before_the_page", () => {
  const head = "<meta charset=koi8-r>";
  for (const type of [
    "text/html; charset=gbk",
    'text/html;charset="gb2312"',
    "text/html; q=1; Charset = 'GBK' ; x",
    "TEXT/HTML;\tCHARSET=gbk",
  ])
    expect(seen(head, type), type).toBe("你好");
  expect(seen(head, "text/html; charset=none-such")).toBe(AS["koi8-r"]);
  expect(seen(head, "text/html; x-charset=gbk")).toBe(AS["koi8-r"]);
  const marked = Buffer.from(`\ufeff${head}π`);
  expect(decodePage(marked, "text/html; charset=gbk")).toBe(`${head}π`);
  for (const encoding of ["utf-16le", "utf-16be"] as const) {
    const bytes = Buffer.from(`\ufeff${head}π`, "utf16le");
    expect(decodePage(encoding === "utf-16le" ? bytes : bytes.swap16(), "text/html"), encoding).toBe(
      `${head}π`,
    );
  }
});

test("utf_16_without_a_mark_is_recognised_by_its_first_tag", () => {
  for (const html of ["<html><p>π", "<!DOCTYPE html>数", "\n <?xml version='1.0'?>é"]) {
    const bytes = Buffer.from(html, "utf16le");
    expect(decodePage(bytes, "text/html")).toBe(html);
    expect(decodePage(Buffer.from(bytes).swap16(), "text/html")).toBe(html);
  }
});

test("what_is_no_html_is_not_searched_for_meta_tags", () => {
  const text = 'Write <meta charset="gbk"> for naïve.';
  for (const type of ["text/plain", "text/plain; charset=utf-8", "text/markdown"])
    expect(decodePage(Buffer.from(text), type)).toBe(text);
});

test("a_header_that_was_joined_or_mistyped_still_names_its_charset", () => {
  const word = Uint8Array.from([0xca, 0xfd, 0xd1, 0xa7]);
  for (const label of ["gbk", "GB2312", "gb18030", "x-gbk", "chinese", "csgb2312"])
    for (const header of [
      `text/html; charset=${label}`,
      `text/html;charset="${label}"`,
      `text/html; charset='${label}'`,
      `text/html; charset=${label}, text/html`,
      `text/html; charset=utf-8, text/html; charset=${label}`,
      `text/plain; charset=utf-8, text/html;charset=${label}`,
      `text/html; charset=; charset=${label}`,
      `text/html charset=${label}`,
      `text/html; a="x, y; charset=utf-8"; charset=${label}`,
      `text/html; Charset = ${label} `,
    ])
      expect(decodePage(word, header), header).toBe("数学");
  expect(decodePage(word, "text/html; charset=gbk, text/plain")).not.toBe("数学");
  expect(decodePage(word, "text/html; charset=utf-8; charset=gbk")).not.toBe("数学");
});

test("utf8_without_a_declaration_is_utf8_where_it_is_cut_or_damaged", () => {
  const text = "naïve 数学, Übung, π ≤ 4, résumé";
  const bytes = Buffer.from(text);
  for (let end = 4; end <= bytes.length; end++) {
    const whole = new TextDecoder("utf-8").decode(bytes.subarray(0, end));
    expect(decodePage(bytes.subarray(0, end), "text/html"), String(end)).toBe(whole);
  }
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at]! < 0x80) continue;
    const damaged = Buffer.from(bytes);
    damaged[at] = 0x20;
    expect(decodePage(damaged, "text/html")).not.toMatch(/Ã|Ï|â/);
  }
  // Words of the west of Europe in the encoding that the web falls back to.
  for (const legacy of ["café", "Übung", "naïve façade", "El Niño, año", "«Ça va»", "Ã©tait", "50 €"]) {
    const units = Uint8Array.from([...legacy].map((c) => (c === "€" ? 0x80 : c.charCodeAt(0))));
    if (legacy === "Ã©tait") expect(decodePage(units, "text/html")).toBe("était");
    else expect(decodePage(units, "text/html"), legacy).toBe(legacy);
  }
});

const HEADS = [
  "<html><p>",
  "<!DOCTYPE html><p>",
  "\r\n <html lang=de><p>",
  "<?xml version='1.0'?><p>",
  "<!-- x --><p>",
];
const UTF16_LABELS = ["utf-16", "UTF-16LE", "utf-16be", "unicode", "ucs-2"];
const swapped = (bytes: Buffer) => Buffer.from(bytes).swap16();

test.each(UTF16_LABELS.flatMap((label) => HEADS.map((head) => [label, head] as const)))(
  "a_header_of_%s_is_obeyed_as_far_as_the_bytes_can_be_in_it_(%j)",
  (label, head) => {
    const text = `${head}Größe ℝ 数学</p>`;
    const type = `text/html; charset=${label}`;
    const little = Buffer.from(text, "utf16le");
    expect(decodePage(little, type)).toBe(text);
    expect(decodePage(swapped(little), type)).toBe(text);
    expect(decodePage(Buffer.from(text), type)).toBe(text);
    const declared = `${head}<meta charset="windows-1252">Größe</p>`;
    expect(decodePage(Buffer.from(declared, "latin1"), type)).toBe(declared);
  },
);

test("text_in_utf_16_that_begins_with_no_tag_is_read_by_its_header_and_the_user_defined_encoding_is_windows_1252", () => {
  const words = Buffer.from("Größe der Menge", "utf16le");
  expect(decodePage(words, "text/plain; charset=utf-16le")).toBe("Größe der Menge");
  expect(decodePage(swapped(words), "text/plain; charset=utf-16be")).toBe("Größe der Menge");
  const page = "<p>Größe</p>";
  expect(decodePage(Buffer.from(page, "latin1"), "text/html; charset=x-user-defined")).toBe(page);
});
