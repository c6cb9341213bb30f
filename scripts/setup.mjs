// Sets up a clone: dependencies, native code, bundles. Fast when nothing changed.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { digest, must, once, pnpm, root } from "./lib.mjs";

if (existsSync(join(root, "BUNDLE"))) process.exit(0);
const manifests = ["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json"];
once("install", digest(manifests), "node_modules/.modules.yaml", () =>
  pnpm(["install", "--frozen-lockfile"]),
);
must("node", ["scripts/build-native.mjs"]);
must("node", ["scripts/build.mjs"]);
