import { defineConfig } from "vitest/config";

/** The suites that need Debian's clients and servers: `.ci/run` installs them. */
export default defineConfig({
  test: {
    include: ["test/clients/**/*.test.ts"],
    testTimeout: 180_000,
    // What runs in threads of low priority waits while other tests have the processors.
    expect: { poll: { timeout: 30_000 } },
    hookTimeout: 180_000,
    fileParallelism: false,
    // Tests of one file that run at once start servers of their own, and some hold them to tenths of a second.
    maxConcurrency: 3,
  },
});
