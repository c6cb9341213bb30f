// Characters of formulas and their commands.

/** Command and characters, apart by blanks; the first command of a character wins. */
const TABLE = `
alpha α|beta β|gamma γ|delta δ|epsilon ϵ|varepsilon ε|zeta ζ|eta η|theta θ|vartheta ϑ|iota ι|kappa κ|varkappa ϰ|lambda λ|mu μ µ|nu ν|xi ξ|omicron ο
pi π|varpi ϖ|rho ρ|varrho ϱ|sigma σ|varsigma ς|tau τ|upsilon υ|phi ϕ|varphi φ|chi χ|psi ψ|omega ω|digamma ϝ
Gamma Γ|Delta Δ ∆|Theta Θ|Lambda Λ|Xi Ξ|Pi Π|Sigma Σ|Upsilon Υ ϒ|Phi Φ|Psi Ψ|Omega Ω Ω
sum ∑|prod ∏|coprod ∐|int ∫|iint ∬|iiint ∭|oint ∮|oiint ∯|bigcup ⋃|bigcap ⋂|bigvee ⋁|bigwedge ⋀|bigoplus ⨁|bigotimes ⨂|bigodot ⨀|biguplus ⨄|bigsqcup ⨆
infty ∞|partial ∂ 𝜕|nabla ∇ 𝛁|surd √|times ×|div ÷|cdot ⋅ ·|pm ±|mp ∓|ast ∗|star ⋆|circ ∘|bullet ∙ •|oplus ⊕|ominus ⊖|otimes ⊗|oslash ⊘|odot ⊙|dagger †|ddagger ‡|amalg ⨿
le ≤|ge ≥|neq ≠|approx ≈|equiv ≡|sim ∼|simeq ≃|cong ≅|propto ∝|ll ≪|gg ≫|prec ≺|succ ≻|preceq ⪯ ≼|succeq ⪰ ≽|leqslant ⩽|geqslant ⩾|lesssim ≲|gtrsim ≳|asymp ≍|doteq ≐|triangleq ≜|coloneqq ≔|lnot ¬|vdash ⊢|dashv ⊣|models ⊨|vDash ⊨|Vdash ⊩|perp ⟂|bot ⊥|top ⊤|mid ∣|nmid ∤|parallel ∥|nparallel ∦|bowtie ⋈|smile ⌣|frown ⌢|lessgtr ≶|gtrless ≷|nless ≮|ngtr ≯|nleq ≰|ngeq ≱|nsim ≁|ncong ≇|approxeq ≊|eqsim ≂|backsim ∽|trianglelefteq ⊴|trianglerighteq ⊵|vartriangleleft ⊲|vartriangleright ⊳|multimap ⊸
in ∈|notin ∉|ni ∋|subset ⊂|supset ⊃|subseteq ⊆|supseteq ⊇|subsetneq ⊊|supsetneq ⊋|nsubseteq ⊈|nsupseteq ⊉|sqsubseteq ⊑|sqsupseteq ⊒|sqsubset ⊏|sqsupset ⊐|cup ∪|cap ∩|uplus ⊎|sqcup ⊔|sqcap ⊓|setminus ∖ ⧵|emptyset ∅|forall ∀|exists ∃|nexists ∄|wedge ∧|vee ∨|therefore ∴|because ∵|complement ∁
to →|leftarrow ←|leftrightarrow ↔|uparrow ↑|downarrow ↓|updownarrow ↕|Rightarrow ⇒|Leftarrow ⇐|Leftrightarrow ⇔|Uparrow ⇑|Downarrow ⇓|mapsto ↦|longmapsto ⟼|longrightarrow ⟶|longleftarrow ⟵|longleftrightarrow ⟷|Longrightarrow ⟹|Longleftarrow ⟸|Longleftrightarrow ⟺|hookrightarrow ↪|hookleftarrow ↩|rightharpoonup ⇀|rightharpoondown ⇁|leftharpoonup ↼|leftharpoondown ↽|rightleftharpoons ⇌|leftrightharpoons ⇋|nearrow ↗|searrow ↘|swarrow ↙|nwarrow ↖|twoheadrightarrow ↠|rightarrowtail ↣|rightsquigarrow ⇝|leadsto ⇝|rightrightarrows ⇉|rightleftarrows ⇄|leftrightarrows ⇆|nrightarrow ↛|nleftarrow ↚|nRightarrow ⇏|circlearrowright ↻|circlearrowleft ↺|upharpoonright ↾
ldots …|cdots ⋯|vdots ⋮|ddots ⋱|langle ⟨ 〈|rangle ⟩ 〉|lfloor ⌊|rfloor ⌋|lceil ⌈|rceil ⌉|lgroup ⟮|rgroup ⟯|llbracket ⟦|rrbracket ⟧|ulcorner ⌜|urcorner ⌝|llcorner ⌞|lrcorner ⌟|Vert ‖
ell ℓ|hbar ℏ|imath ı 𝚤|jmath ȷ 𝚥|Re ℜ|Im ℑ|wp ℘|aleph ℵ|beth ℶ|gimel ℷ|daleth ℸ|angle ∠|measuredangle ∡|sphericalangle ∢|triangle △|square □|blacksquare ■|Box ☐|diamond ⋄|Diamond ◊|lozenge ⧫|bigtriangleup △|bigtriangledown ▽|triangledown ▽|triangleleft ◃|triangleright ▹|blacktriangle ▲|blacktriangledown ▼|bigcirc ◯|bigstar ★|flat ♭|natural ♮|sharp ♯|clubsuit ♣|diamondsuit ♢|heartsuit ♡|spadesuit ♠|checkmark ✓|S §|P ¶|pounds £|copyright ©|degree °|mho ℧|eth ð|wr ≀|ltimes ⋉|rtimes ⋊|boxplus ⊞|boxminus ⊟|boxtimes ⊠|boxdot ⊡|barwedge ⊼|veebar ⊻|curlywedge ⋏|curlyvee ⋎|dotplus ∔|divideontimes ⋇|intercal ⊺|circledast ⊛|circledcirc ⊚|Subset ⋐|Supset ⋑|lll ⋘|ggg ⋙|between ≬|pitchfork ⋔|Finv Ⅎ`;

/** What has no command, or another form than one. */
const OTHER: Record<string, string> = {
  "−": "-",
  "‐": "-",
  "–": "-",
  "∗": "*",
  "∶": ":",
  "∕": "/",
  "⁄": "/",
  "′": "'",
  "″": "''",
  "‴": "'''",
  "⁗": "''''",
  "｜": "|",
  "‘": "`",
  "’": "'",
  "{": "\\{",
  "}": "\\}",
  "%": "\\%",
  "&": "\\&",
  "#": "\\#",
  $: "\\$",
  _: "\\_",
  "\\": "\\backslash",
  "~": "\\sim",
  "≔": ":=",
  "\u00a0": "\\ ",
};

/** Operators that no one sees. */
const INVISIBLE = /[\u2061-\u2064\u200b-\u200f\u00ad\ufeff\u2060]|[\ufe0e\ufe0f]/g;

function makeTable(): Map<string, string> {
  const table = new Map<string, string>();
  for (const entry of TABLE.trim().split(/[\n|]/)) {
    const [command, ...characters] = entry.trim().split(" ");
    for (const c of characters) if (!table.has(c)) table.set(c, `\\${command}`);
  }
  for (const [c, tex] of Object.entries(OTHER)) table.set(c, tex);
  return table;
}

const COMMANDS = makeTable();

const VARIANT_STARTS: [number, string][] = [
  [0x1d400, "bold"],
  [0x1d434, "italic"],
  [0x1d468, "bold-italic"],
  [0x1d49c, "script"],
  [0x1d4d0, "bold-script"],
  [0x1d504, "fraktur"],
  [0x1d538, "double-struck"],
  [0x1d56c, "bold-fraktur"],
  [0x1d5a0, "sans-serif"],
  [0x1d5d4, "bold-sans-serif"],
  [0x1d608, "sans-serif-italic"],
  [0x1d63c, "sans-serif-bold-italic"],
  [0x1d670, "monospace"],
  [0x1d6a4, "italic"],
  [0x1d6a8, "bold"],
  [0x1d6e2, "italic"],
  [0x1d71c, "bold-italic"],
  [0x1d756, "bold-sans-serif"],
  [0x1d790, "sans-serif-bold-italic"],
  [0x1d7ce, "bold"],
  [0x1d7d8, "double-struck"],
  [0x1d7e2, "sans-serif"],
  [0x1d7ec, "bold-sans-serif"],
  [0x1d7f6, "monospace"],
];
/** Letters that had a place before the block of mathematical letters. */
const EARLIER: Record<string, [string, string]> = {
  ℂ: ["C", "double-struck"],
  ℍ: ["H", "double-struck"],
  ℕ: ["N", "double-struck"],
  ℙ: ["P", "double-struck"],
  ℚ: ["Q", "double-struck"],
  ℝ: ["R", "double-struck"],
  ℤ: ["Z", "double-struck"],
  ℬ: ["B", "script"],
  ℰ: ["E", "script"],
  ℱ: ["F", "script"],
  ℋ: ["H", "script"],
  ℐ: ["I", "script"],
  ℒ: ["L", "script"],
  ℳ: ["M", "script"],
  ℛ: ["R", "script"],
  ℯ: ["e", "script"],
  ℊ: ["g", "script"],
  ℴ: ["o", "script"],
  ℭ: ["C", "fraktur"],
  ℌ: ["H", "fraktur"],
  ℨ: ["Z", "fraktur"],
  ℎ: ["h", "italic"],
  𝜖: ["ϵ", "italic"],
  𝜗: ["ϑ", "italic"],
  𝜘: ["ϰ", "italic"],
  𝜙: ["ϕ", "italic"],
  𝜚: ["ϱ", "italic"],
  𝜛: ["ϖ", "italic"],
};

/** A mathematical letter as the plain one and its variant; undefined for any other character. */
export function plainLetter(c: string): { letter: string; variant: string } | undefined {
  const earlier = EARLIER[c];
  if (earlier) return { letter: earlier[0], variant: earlier[1] };
  const code = c.codePointAt(0)!;
  if (code < 0x1d400 || code > 0x1d7ff) return undefined;
  const variant = VARIANT_STARTS.findLast(([start]) => start <= code)![1];
  return { letter: c.normalize("NFKC"), variant };
}

const VARIANT_COMMANDS: Record<string, string> = {
  normal: "mathrm",
  bold: "mathbf",
  "bold-italic": "boldsymbol",
  "double-struck": "mathbb",
  script: "mathcal",
  "bold-script": "mathcal",
  fraktur: "mathfrak",
  "bold-fraktur": "mathfrak",
  "sans-serif": "mathsf",
  "bold-sans-serif": "mathsf",
  "sans-serif-italic": "mathsf",
  "sans-serif-bold-italic": "mathsf",
  monospace: "mathtt",
  "-tex-calligraphic": "mathcal",
  "-tex-bold-calligraphic": "mathcal",
};

/** Command of a MathML variant; empty for italic. */
export function variantCommand(variant: string): string {
  return VARIANT_COMMANDS[variant.toLowerCase()] ?? "";
}

/** LaTeX of one character of a formula. */
export function symbol(c: string): string {
  const found = COMMANDS.get(c);
  if (found !== undefined) return found;
  const letter = plainLetter(c);
  if (!letter) return c;
  const command = variantCommand(letter.variant);
  const plain = COMMANDS.get(letter.letter) ?? letter.letter;
  return command ? `\\${command}{${plain}}` : plain;
}

/** Pieces side by side, with a blank between a command and a letter behind it. */
export const joined = (parts: Iterable<string>): string => {
  const out: string[] = [];
  let last = "";
  for (const part of parts) {
    if (part === "") continue;
    if (/\\[a-zA-Z]+$/.test(last) && /^[a-zA-Z\\]/.test(part)) out.push(" ");
    out.push(part);
    last = part;
  }
  return out.join("");
};

/** LaTeX of the characters of a formula. */
export function symbols(text: string): string {
  return joined([...text.trim().replace(INVISIBLE, "")].map(symbol));
}
