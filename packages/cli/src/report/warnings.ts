// What a run warned of, and the error that ended it, for its report.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { eachLine, NsaError } from "@nsa/core";
import { escapeHtml } from "@nsa/report";

/** Warnings of a report; the first ones name causes, later ones often what follows. */
const SHOWN = 40;

/** Warnings in log.txt in their order, each once: a resumed run may repeat what it had said after its checkpoint. */
export function warningsOf(runDir: string): string[] {
  const path = join(runDir, "log.txt");
  const found = new Set<string>();
  if (existsSync(path))
    for (const line of eachLine(path)) {
      const text = /^\S+ warn (.*)/.exec(line.toString("utf8"))?.[1];
      if (text !== undefined) found.add(text);
    }
  return [...found];
}

export function errorSection(error: unknown): string {
  if (error === undefined) return "";
  if (!(error instanceof NsaError)) {
    const message = error instanceof Error ? error.message : String(error);
    return `<h2>Ended by an error</h2><p>${escapeHtml(message)}.</p>`;
  }
  const { what, why, fix } = error;
  return `<h2>Ended by an error</h2><p>${escapeHtml(what)}: ${escapeHtml(why)}. Fix: ${escapeHtml(fix)}.</p>`;
}

export function warningsSection(runDir: string): string {
  const all = warningsOf(runDir);
  if (all.length === 0) return "";
  const more = all.length > SHOWN ? `<p>${all.length - SHOWN} more are in log.txt.</p>` : "";
  const items = all.slice(0, SHOWN).map((text) => `<li>${escapeHtml(text)}</li>`);
  return `<h2>Warnings</h2><ul>${items.join("")}</ul>${more}`;
}
