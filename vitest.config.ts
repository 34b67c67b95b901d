import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/clients/**"],
    setupFiles: ["test/support/setup.ts"],
    // Every processor: by default one is left idle, which is half of two.
    maxWorkers: "100%",
    // Ends what hangs. The largest take half a minute where other programs have the processors.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What runs in threads of low priority waits while other tests have the processors.
    expect: { poll: { timeout: 10_000 } },
  },
});
