// Loaded into the command and its trainer by NODE_OPTIONS: writes the peak of each process's resident memory, bytes, where it ends.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";

const role = (process.argv[1] ?? "").endsWith("trainer-main.mjs") ? "trainer" : "command";
if (isMainThread)
  process.on("exit", () =>
    writeFileSync(
      join(process.env.NSA_PEAKS, `${role}-${process.pid}`),
      String(1024 * process.resourceUsage().maxRSS),
    ),
  );
