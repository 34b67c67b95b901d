import { readdirSync, readFileSync } from "node:fs";

/**
 * CPU time that a process, all its threads and all processes below it have used so far, in nanoseconds, in user and system mode together.
 * From the scheduler's own account (`/proc/PID/task/TID/schedstat`): `/proc/PID/stat` counts in steps of 10 ms, which at a moderate rate of
 * queries is a tenth of what is to be measured. A thread that ends takes its time along, so it must be read while the servers run.
 */
export function cpuNanoseconds(processId: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${processId}/task`)) {
    const folder = `/proc/${processId}/task/${thread}`;
    sum += Number(readFileSync(`${folder}/schedstat`, "utf8").split(" ")[0]);
    for (const child of readFileSync(`${folder}/children`, "utf8").split(" "))
      if (child !== "") sum += cpuNanoseconds(Number(child));
  }
  return sum;
}
