import type { Worker } from "node:worker_threads";
import { onTestFinished } from "vitest";

/** The worker threads that this test starts, in order. */
export function startedWorkers(): readonly Worker[] {
  const workers: Worker[] = [];
  const note = (worker: Worker) => workers.push(worker);
  process.on("worker", note);
  onTestFinished(() => {
    process.off("worker", note);
  });
  return workers;
}
