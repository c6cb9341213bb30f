// One vitest project for the whole workspace; sources are imported directly through the `nsa-source` condition.
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["nsa-source", "node", "import", "default"] },
  ssr: { resolve: { conditions: ["nsa-source", "node", "import", "default"] } },
  test: {
    include: ["packages/*/test/**/*.test.{ts,tsx}", "test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
