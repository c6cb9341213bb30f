// Extraction of text from pages, keeping mathematics.
export { decodePage } from "./charset.ts";
export { type Extracted, extractHtml } from "./html.ts";
export { identifyLanguage, type Language } from "./language.ts";
export { mathmlToLatex } from "./mathml.ts";
