// Sets up a clone: dependencies, native code, bundles. Fast when nothing changed.
import { digest, must, once, pnpm } from "./lib.mjs";

const manifests = ["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json"];
once("install", digest(manifests), "node_modules/.modules.yaml", () =>
  pnpm(["install", "--frozen-lockfile"]),
);
must("node", ["scripts/build-native.mjs"]);
must("node", ["scripts/build.mjs"]);
