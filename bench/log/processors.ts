import { execFileSync, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/** Whether processors can be given to threads, and there are enough of them. Asked before any were given. */
export function canBeApart(): boolean {
  return availableParallelism() >= 4 && spawnSync("taskset", ["--version"]).status === 0;
}

export interface Apart {
  /** The process whose main thread answers: that has a processor of its own, its other threads are among all else. */
  readonly answering: number;
  readonly asking: number | undefined;
  readonly others: readonly (number | undefined)[];
}

/**
 * Some schedulers lay threads on as few processors as will do, and one that is woken takes the processor from the one that answers. That is the
 * machine's, and depends on what else it does; apart, only what threads do to each other by themselves is left.
 */
export function setApart({ answering, asking, others }: Apart): void {
  const rest = `2-${availableParallelism() - 1}`;
  for (const processId of [answering, ...others]) taskset("-acp", rest, processId);
  taskset("-acp", "1", asking);
  taskset("-cp", "0", answering);
}

function taskset(flags: string, processors: string, processId: number | undefined): void {
  execFileSync("taskset", [flags, processors, String(processId)], { stdio: "ignore" });
}
