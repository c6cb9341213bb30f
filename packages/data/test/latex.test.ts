// LaTeX sources and source code as documents.
import { expect, test } from "vitest";
import { isCodeName, isGenerated } from "../src/corpus/readers/code.ts";
import { decodeTex, texDocuments } from "../src/corpus/readers/latex.ts";

const MOST = 1 << 20;
const body = (text: string, preamble = "") =>
  texDocuments(
    new Map([["", `\\documentclass{article}\n${preamble}\n\\begin{document}\n${text}\n\\end{document}`]]),
    MOST,
  )[0]?.text;
const files = (all: Record<string, string>) =>
  texDocuments(new Map(Object.entries(all)), MOST).map(({ path, text }) => [path, text]);

test.each([
  ["a % b\nc", "a c"],
  ["a% b\nc", "ac"],
  ["a%\n   c", "ac"],
  ["a\n% b\nc", "a\nc"],
  ["a\n  % b\n\nc", "a\n\nc"],
  ["50\\% of it % not this\nend", "50\\% of it end"],
  ["\\\\% comment\nend", "\\\\end"],
  ["\\\\\\% kept", "\\\\\\% kept"],
  ["%\n%\n% all\nrest", "rest"],
  ["\\verb|%| and % gone\nrest", "\\verb|%| and rest"],
  ["\\verb*!a%b! c", "\\verb*!a%b! c"],
  ["\\begin{verbatim}\n% stays\n\\end{verbatim}\n% goes", "\\begin{verbatim}\n% stays\n\\end{verbatim}"],
  ["\\begin{lstlisting}\nx = 5 % 3\n\\end{lstlisting}", "\\begin{lstlisting}\nx = 5 % 3\n\\end{lstlisting}"],
  ["% \\begin{verbatim}\na % b\nc", "a c"],
  ["a\\begin{comment}\nhidden\n\\end{comment}b", "ab"],
  ["a\n\n\n\n\nb   \nc", "a\n\nb\nc"],
  ["x\\maketitle y \\bibliographystyle{plain}\\bibliography{refs}", "x y"],
  ["x\n\\begin{thebibliography}{9}\\bibitem{a} A.\\end{thebibliography}\ny", "x\n\ny"],
  ["x \\end{document} after", "x"],
  ["\\newcommand{\\R}{r}\n\\R s", "r s"],
  ["\\newcommand{\\R}[1]{r#1}\n\\R s", "\\newcommand{\\R}[1]{r#1}\n\\R s"],
])("%j_is_read_as_%j", (text, expected) => expect(body(text)).toBe(expected));

test.each([
  ["\\newcommand{\\R}{\\mathbb{R}}", "$x \\in \\R$", "$x \\in \\mathbb{R}$"],
  ["\\newcommand\\R{\\mathbb R}", "$\\R^2$", "$\\mathbb R^2$"],
  ["\\renewcommand{\\phi}{\\varphi}", "$\\phi x$", "$\\varphi x$"],
  ["\\providecommand*{\\etal}{et al.}", "Smith \\etal wrote", "Smith et al. wrote"],
  ["\\def\\eps{\\varepsilon}", "$\\eps\\delta$ $\\epsilon$", "$\\varepsilon \\delta$ $\\epsilon$"],
  ["\\DeclareMathOperator{\\rank}{rank}", "$\\rank A$", "$\\operatorname{rank} A$"],
  ["\\DeclareMathOperator*{\\argmax}{arg\\,max}", "$\\argmax_x$", "$\\operatorname*{arg\\,max}_x$"],
  ["\\newcommand{\\a}{\\b}\\newcommand{\\b}{c}", "\\a", "c"],
  ["\\newcommand{\\a}{\\b}\\newcommand{\\b}{\\a}", "\\a", "\\a"],
  ["\\newcommand{\\pair}[2]{(#1,#2)}", "\\pair{1}{2}", "\\pair{1}{2}"],
  ["\\def\\sq#1{#1^2}", "\\sq{x}", "\\sq{x}"],
  ["% \\newcommand{\\R}{no}", "\\R", "\\R"],
  ["\\newcommand{\\R}{\\mathbb{R}}", "\\verb|\\R|", "\\verb|\\R|"],
])("with_%s_%j_is_%j", (preamble, text, expected) => expect(body(text, preamble)?.trim()).toBe(expected));

test("macros_that_multiply_stop_at_the_limit", () => {
  const names = [..."abcdefghijklmnop"];
  const defs = names
    .slice(1)
    .map((c, i) => `\\def\\${c}{${`\\${names[i]}`.repeat(20)}}`)
    .join("\n");
  const source = `\\documentclass{a}\\def\\a{xxxxxxxxxx}${defs}\\begin{document}\\p\\end{document}`;
  const [document] = texDocuments(new Map([["", source]]), 100_000);
  expect(document!.text.length).toBeLessThan(1_000_000);
});

test("a_paper_has_what_it_includes_in_its_place", () => {
  const paper = (inside: string) => `\\documentclass{article}\\begin{document}${inside}\\end{document}`;
  const part = "They are many.";
  for (const [include, at] of [
    ["\\input{proof}", "proof.tex"],
    ["\\input{proof.tex}", "proof.tex"],
    ["\\input{./proof}", "proof.tex"],
    ["\\include{parts/proof}", "parts/proof.tex"],
    ["\\input proof ", "proof.tex"],
    ["\\subfile{proof}", "proof.tex"],
    ["\\import{parts/}{proof}", "parts/proof.tex"],
    ["\\subimport{parts/}{proof.tex}", "parts/proof.tex"],
    ["\\input{proof}", "proof.ltx"],
  ] as const)
    expect(files({ "main.tex": paper(`Primes. ${include}`), [at]: part }), include).toEqual([
      ["main.tex", `Primes. ${part}`],
    ]);
  // Paths count from the paper's folder, or from the archive's.
  const inFolder = { "src/main.tex": paper("\\input{a} \\input{b}"), "src/a.tex": "A", "b.tex": "B" };
  expect(files(inFolder)).toEqual([["src/main.tex", "A B"]]);
  // Includes within includes; those in comments and in code are none, what is absent leaves nothing, and no circle is followed.
  const nested = {
    "main.tex": paper("\\input{a}\n% \\input{c}\n\\verb|\\input{c}| \\input{absent}"),
    "a.tex": "A \\input{b}",
    "b.tex": "B \\input{a}",
    "c.tex": "C",
  };
  expect(files(nested)).toEqual([["main.tex", "A B\n\\verb|\\input{c}|"]]);
});

test("several_papers_are_several_documents_and_notes_without_a_paper_stand_alone", () => {
  const paper = (inside: string) => `\\documentclass{article}\\begin{document}${inside}\\end{document}`;
  expect(
    files({ "a.tex": paper("One"), "supplement.tex": paper("Two"), "macros.tex": "\\def\\x{y}" }),
  ).toEqual([
    ["a.tex", "One"],
    ["supplement.tex", "Two"],
  ]);
  expect(files({ "sets.tex": "\\section{Sets} Words.", "limits.tex": "\\section{Limits} More." })).toEqual([
    ["sets.tex", "\\section{Sets} Words."],
    ["limits.tex", "\\section{Limits} More."],
  ]);
});

test.each([
  ["\\title{On primes}", "On primes"],
  ["\\title[Short]{On \\textbf{large}\\\\ primes\\thanks{Money}}", "On large primes"],
  ["\\title{\\Large The $p$-adic  case}", "The $p$-adic case"],
  ["% \\title{Old}\n\\title{New}", "New"],
  ["", ""],
])("the_title_of_%j_is_%j", (preamble, title) => {
  const source = `\\documentclass{article}\n${preamble}\n\\begin{document}x\\end{document}`;
  expect(texDocuments(new Map([["", source]]), MOST)[0]!.title).toBe(title);
});

test.each([
  ["latin1", "caf\xe9", "café"],
  ["latin2", "\xb3\xf3d\xbc", "łódź"],
  ["latin9", "\xa4", "€"],
  ["cp1251", "\xcc\xe8\xf0", "Мир"],
  ["koi8-r", "\xed\xc9\xd2", "Мир"],
  ["applemac", "caf\x8e", "café"],
  ["utf8", "caf\xe9", "café"],
])("bytes_under_inputenc_%s_are_letters", (option, bytes, text) => {
  const source = `\\usepackage[${option}]{inputenc}\n`;
  expect(decodeTex(Buffer.from(source + bytes, "latin1"))).toBe(source + text);
  expect(decodeTex(Buffer.from(source + text, "utf8"))).toBe(source + text);
});

test("long_runs_take_no_way_that_grows_with_their_square", () => {
  for (const run of [
    "%",
    "\\",
    "{",
    "\\begin{comment}",
    "\\begin{verbatim}",
    " ",
    "\\input{",
    "\\verb|",
    "\\newcommand{\\a}{",
    "\\title{",
    "\n%",
  ])
    texDocuments(
      new Map([["", `\\documentclass{a}\\begin{document}${run.repeat(400_000 / run.length)}x`]]),
      MOST,
    );
}, 60_000);

test.each([
  ["def f(x):\n    return x\n", false],
  ["// Code generated by protoc-gen-go. DO NOT EDIT.\npackage x\n", true],
  ["# This file is autogenerated\nx = 1\n", true],
  ["/* automatically generated by bison */\nint x;\n", true],
  [`${"x = 1\n".repeat(20)}# not auto-generated at its head\n`, false],
  [`var a=${"b+".repeat(600)}c;`, true],
  [`${"x ".repeat(80)}\n`.repeat(9), true],
  [`table = [\n${"0x0, ,,,,, ,,,,\n".repeat(40)}]`, true],
])("%j_was_written_by_a_program: %s", (text, generated) => expect(isGenerated(text)).toBe(generated));

test("names_of_code", () => {
  for (const name of ["a.py", "b/c.CPP", "x.f90", "y.jl", "z.lean", "w.hs", "v.cu"])
    expect(isCodeName(name), name).toBe(true);
  for (const name of ["a.txt", "b.json", "c.png", "Makefile", "d.py.gz", "e"])
    expect(isCodeName(name), name).toBe(false);
});
