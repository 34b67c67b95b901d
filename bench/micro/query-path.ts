import { render, replyLimit } from "../../src/answers/render.ts";
import { cacheKey } from "../../src/cache/key.ts";
import { QueryRecorder } from "../../src/control/recorder.ts";
import { isRejection, parseQuery } from "../../src/dns/query.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { resolve } from "../../src/resolve/resolve.ts";
import { serve, waitingQueries } from "../../src/server/pipeline.ts";
import type { Operation } from "./measure.ts";
import { CLIENT, type FilledSite } from "./site.ts";

/** The stages of a cache hit one by one, and all of them without the sockets. */
export function queryPath({ site, messages, queries }: FilledSite): readonly Operation[] {
  const { resolver, access } = site;
  const each =
    <Item>(items: readonly Item[], run: (item: Item) => number) =>
    (count: number) => {
      let sum = 0;
      for (let done = 0; done < count; ) {
        for (const item of items) {
          if (done++ >= count) break;
          sum += run(item);
        }
      }
      return sum;
    };
  const keys = queries.map((query) => cacheKey(query, "overseas"));
  const renderings = queries.slice(0, RENDERED).map((query) => {
    const resolution = resolve(resolver, query, { client: CLIENT, mayWait: true, untilMs: Number.POSITIVE_INFINITY });
    if (resolution instanceof Promise || resolution.answer === null || resolution.source !== "cache")
      throw new Error("the benchmark's own question is not answered from the cache");
    const { answer, ttl, authenticated, extendedErrors } = resolution;
    return { query, answer, ttl, authenticated, extendedErrors, limitBytes: replyLimit(query, true), encrypted: false };
  });
  const waiting = waitingQueries();
  const unobserved = { state: site, recorder: { observe: () => {} }, waiting };
  const counting = journalOf(site);
  const recording = journalOf(site);
  recording.use({ enabled: true, clients: "full" });
  const { ring } = recording.feed;
  const recorded = each(messages, (message) => isNow(serve({ state: site, recorder: recording, waiting }, message, CLIENT)));
  return [
    { name: "parseQuery", run: each(messages, (message) => idOf(parseQuery(message))) },
    { name: "access.admit", run: each(queries, () => access.admit(CLIENT, performance.now()).length) },
    { name: "decide", run: each(queries, (query) => resolver.decider.decide(query, CLIENT).kind.length) },
    { name: "cacheKey", run: each(queries, (query) => cacheKey(query, "overseas").length) },
    { name: "cache get", run: each(keys, (key) => resolver.cache.get(key)?.hits ?? Number.NaN) },
    {
      name: "resolve (decide, key, get, freshness)",
      run: each(queries, (query) =>
        isNow(resolve(resolver, query, { client: CLIENT, mayWait: true, untilMs: Number.POSITIVE_INFINITY })),
      ),
    },
    { name: "render", run: each(renderings, (rendering) => render(rendering).wire.length) },
    {
      name: "serve, from bytes to bytes",
      run: each(messages, (message) => isNow(serve(unobserved, message, CLIENT))),
    },
    {
      name: "the same, counted",
      run: each(messages, (message) => isNow(serve({ state: site, recorder: counting, waiting }, message, CLIENT))),
    },
    {
      name: "the same, and an entry of the query log written",
      run(count) {
        let sum = 0;
        for (let done = 0; done < count; done += RECORDED) {
          sum += recorded(Math.min(RECORDED, count - done));
          ring.release(ring.written);
        }
        return sum;
      },
    },
  ];
}

/** Held apart from the cache these take memory, and a thousand of them are as good as all. */
const RENDERED = 1000;

/** So many queries wait for their records at once, as under heavy load. */
const RECORDED = 1000;

function journalOf(site: FilledSite["site"]): QueryRecorder {
  const journal = new QueryRecorder(systemClock, (error) => {
    throw error;
  });
  journal.expect(site.config);
  return journal;
}

function idOf(parsed: ReturnType<typeof parseQuery>): number {
  return parsed === null || isRejection(parsed) ? Number.NaN : parsed.id;
}

function isNow(result: unknown): number {
  return result === null || result instanceof Promise ? Number.NaN : 1;
}
