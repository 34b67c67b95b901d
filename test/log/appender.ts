import { systemClock } from "../../src/lib/clock.ts";
import { QueryFeed } from "../../src/log/feed.ts";
import { QueryLog } from "../../src/log/query-log.ts";
import { RecordIds } from "../../src/log/schema.ts";
import { append } from "./entries.ts";
import { record } from "./records.ts";

/** A process of its own that adds to a log until it is killed, and says so when the first records are in. */
const options = { enabled: true, store: process.argv[2] ?? "", keepMs: 86_400_000, maxRows: 20_000, clients: "full" } as const;
const feed = new QueryFeed();
const log = await QueryLog.open(options, {
  clock: systemClock,
  feed,
  report: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
  refused: () => 0,
});
const ids = new RecordIds();
for (let batch = 0; ; batch++) {
  const made = Array.from({ length: 300 }, (_, index) =>
    record({ id: ids.next(Date.now()), name: `n${batch}-${index}.example` }),
  );
  append(feed, made);
  do await log.get(1);
  while (log.status().stored < 300);
  if (batch === 0) process.stdout.write("adding\n");
}
