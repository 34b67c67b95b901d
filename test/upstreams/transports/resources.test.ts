import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { addresses, close, cutShort, questionFor, silence } from "../messages.ts";
import { countingClock, errand, site, until, ways } from "./set-up.ts";

/** Sockets of any kind that this process has. */
function sockets(): number {
  return process.getActiveResourcesInfo().filter((resource) => /^(?:TCP|UDP|TLS|Connect)/.test(resource)).length;
}

test.each(ways)("nothing is left of answers, failures and questions given up by $title once it is closed", async (way) => {
  const before = sockets();
  const clock = countingClock();
  const { upstream, server, proxy } = await site(
    way,
    (asked) => {
      if (asked.name.startsWith("silent")) return silence;
      if (asked.name.startsWith("close")) return close;
      return asked.name.startsWith("cut") ? cutShort(asked, "192.0.2.1") : addresses(asked, "192.0.2.1");
    },
    { clock },
  );
  const giveUp = new AbortController();
  const ends: Promise<unknown>[] = [];
  for (const kind of ["right", "silent", "close", "cut", "right", "silent"])
    for (let count = 0; count < 5; count++)
      ends.push(upstream.exchange(questionFor(`${kind}${count}.example`), errand(giveUp.signal)).catch(() => undefined));
  await until(() => server.asked.length >= 10);
  giveUp.abort();
  await Promise.all(ends);
  expect(getEventListeners(giveUp.signal, "abort")).toEqual([]);
  const underway = upstream.exchange(questionFor("silent.example"), errand()).catch(() => undefined);
  await upstream.close();
  await underway;
  expect(clock.pending()).toBe(0);
  await proxy?.close();
  await server.close();
  await until(() => sockets() <= before);
});
