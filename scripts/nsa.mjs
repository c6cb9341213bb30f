// Runs the CLI from sources: `pnpm nsa …`, `npm run nsa -- …`.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root } from "./lib.mjs";

const args = ["--conditions=nsa-source", "--import", "tsx", join(root, "packages/cli/src/main.ts")];
const child = spawn(process.execPath, [...args, ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
