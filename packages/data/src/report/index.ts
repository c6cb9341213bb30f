// HTML reports of the corpus commands.
export { corpusReportHtml } from "./build.ts";
export { statsReportHtml } from "./files.ts";
