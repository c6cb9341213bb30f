// Entry of one curve's own process: its last line on stdout is the curve.
import { type Kind, type Part, recallCurve, textCurve } from "./learning.ts";

const [part, kind, seed] = process.argv.slice(2) as [Part, Kind, string];
const curve = await (part === "recall" ? recallCurve : textCurve)(kind, Number(seed));
console.log(JSON.stringify(curve));
