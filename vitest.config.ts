import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/clients/**"],
    testTimeout: 20_000,
    // What runs in threads of low priority waits while other tests have the processors.
    expect: { poll: { timeout: 10_000 } },
  },
});
