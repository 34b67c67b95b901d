import { LRUCache } from "lru-cache";
import { nameText } from "./dns/name.ts";
import { typeName } from "./dns/types.ts";
import type { Clock } from "./lib/clock.ts";
import type { OperationsLog } from "./log/operations.ts";
import type { Breach } from "./upstreams/route-guard.ts";

/** How long a name is kept quiet after it was told, for each group. */
const QUIET_MS = 600_000;

/** Names remembered; a wrong rule may concern more, and then some are told sooner again. */
const MAX_NAMES = 1_024;

/** Tells the operator of questions that were to go where they must not: each name once in ten minutes. */
export function leakLog(log: OperationsLog, clock: Clock): (breach: Breach) => void {
  const toldAtMs = new LRUCache<string, number>({ max: MAX_NAMES });
  return ({ group, question, reason }) => {
    const key = `${group} ${question.name}`;
    const nowMs = clock.now();
    if (nowMs - (toldAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
    toldAtMs.set(key, nowMs);
    const details = { group, name: nameText(question.name), type: typeName(question.type), reason };
    log.warn(details, "a rule sent a question where it must never go: it was refused");
  };
}
