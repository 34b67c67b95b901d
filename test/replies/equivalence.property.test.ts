import { expect, test } from "vitest";
import { runs } from "../support/properties.ts";
import { checkHistories } from "./histories.ts";

const HISTORIES = runs(400);

/**
 * Faults that were planted in turn, each of which this finds within 250 histories: the class of the client, DO or CD left out of the key; the way in left out of the log; a TTL
 * written one byte further, or not aged; the first client's letters or RD; a reply repeated when its answer is stale, or is to be renewed; nothing
 * withdrawn with an entry; clients never forgotten; `log: false` overlooked; the address of another in the log; a client's own id
 * overlooked by who publishes or who repeats; the record of a reply that was in the same row before; replies that outlast the hours of a rule; a max-age that does not age; uses that the cache is not told of, or that are counted as UDP.
 */
test("whatever is asked and whatever changes, a server that repeats replies says, logs, counts and asks what one that does not would", async () => {
  // A property of replies that are never repeated would hold of anything.
  expect(await checkHistories({ numRuns: HISTORIES })).toBeGreaterThan(HISTORIES);
});
