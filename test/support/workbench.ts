import { onTestFinished } from "vitest";
import { render } from "../../src/answers/render.ts";
import { AnswerCache } from "../../src/cache/answer-cache.ts";
import { parseConfig } from "../../src/config/load.ts";
import { printProblems } from "../../src/config/reading.ts";
import type { Config } from "../../src/config/types.ts";
import { type Answer, indexAnswer } from "../../src/dns/answer.ts";
import { nameText } from "../../src/dns/name.ts";
import { askMessage, isRejection, parseQuery, type Query, type Question } from "../../src/dns/query.ts";
import { typeName } from "../../src/dns/types.ts";
import type { Client } from "../../src/lib/client.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { resolve } from "../../src/resolve/resolve.ts";
import type { Comparison, Resolution, Source } from "../../src/resolve/types.ts";
import { closeState, openState } from "../../src/server/state.ts";
import { openGroups } from "../../src/upstreams/group.ts";
import { type ExchangeOptions, type Upstream, UpstreamError } from "../../src/upstreams/upstream.ts";
import type { Action, Asked, Script } from "../upstreams/scripted-server.ts";
import { type FakeClock, fakeClock } from "./fake-clock.ts";
import { type AskOptions, queryWire, type Reply, readReply } from "./message.ts";

/** The result of a query: the reply, and the values that only the query log shows. */
export interface Outcome {
  readonly reply: Reply;
  readonly source: Source;
  readonly action: string;
  readonly comparison: Comparison | null;
  /** See `Resolution.edits`. */
  readonly edits: readonly string[];
  readonly elapsedMs: number;
  /** The rcodes of the attempts in its trace. */
  readonly attempts: readonly (number | null)[];
  /** The queries to upstreams that it caused, such as "page.example A". */
  readonly asked: readonly string[];
}

export interface WorkbenchSetup {
  /** The file without `upstreams`. */
  readonly yaml?: string;
  /** The members of each group. */
  readonly upstreams: Readonly<Record<string, readonly Script[]>>;
  /** Other keys of every group. */
  readonly keys?: string;
  /** Of the members' addresses: `udp`, or `tls` for those whose AD counts. */
  readonly scheme?: "udp" | "tls";
  /** The cache of the site. */
  readonly Cache?: typeof AnswerCache;
}

export interface Workbench {
  readonly clock: FakeClock;
  readonly cache: AnswerCache;
  /** Sends a query and advances time by milliseconds until the outcome is there. */
  ask(name: string, type?: string, options?: AskOptions & Partial<Pick<Client, "address" | "clientId">>): Promise<Outcome>;
  /** Replaces the scripts of a group's members; the last script serves all further members. */
  follow(group: string, scripts: readonly Script[]): void;
  /** Replaces the file; sections `upstreams` and `cache` stay. */
  reload(yaml: string): Promise<void>;
}

/**
 * A whole site without sockets: everything from the parsed query to the rendered reply is the server's own, only the members of its groups are
 * scripts. Nothing depends on real time, so tables of hundreds of cases run at once.
 */
export async function workbenchWith({
  yaml = "",
  upstreams,
  keys = "strategy: failover",
  scheme = "udp",
  Cache = AnswerCache,
}: WorkbenchSetup): Promise<Workbench> {
  const clock = fakeClock();
  const scripts = new Map(Object.entries(upstreams));
  const lines = [...scripts].map(([name, members]) => {
    const servers = members.map((_, index) => `${scheme}://192.0.2.${index + 1}`).join(", ");
    return `  ${name}: { servers: [${servers}], ${keys} }\n`;
  });
  const config = configOf(`${yaml}\nupstreams:\n${lines.join("")}`);
  const log = operationsLog("error", () => {}, false);
  const dependencies = { clock, log, ca: null, resolvConf: "/nowhere" };
  let site = await openState(config, dependencies, null);
  const asked: string[] = [];
  const opened = new Map<string, number>();
  const groups = openGroups(config.upstreams.groups, {
    openMember(server, { name }) {
      const index = opened.get(name) ?? 0;
      opened.set(name, index + 1);
      return memberOf({ label: server.label, encrypted: scheme === "tls" }, clock, (asking) => {
        asked.push(`${asking.name} ${typeName(asking.type)}`);
        const members = scripts.get(name) ?? [];
        return (members[index] ?? members.at(-1))?.(asking) ?? { kind: "silence" };
      });
    },
    clock,
    random: () => 0.5,
    onRecovery(route) {
      cache.forgetFailures(route);
      resolver.refreshThrottle.clear();
    },
  });
  const cache = new Cache(config.cache, clock);
  let resolver = { ...site.resolver, groups, cache };
  onTestFinished(async () => {
    await groups.close();
    await closeState(site, null);
  });
  return {
    clock,
    cache,
    follow: (group, next) => void scripts.set(group, next),
    async reload(text) {
      const { upstreams: groupsAsBefore, cache: cacheAsBefore } = config;
      const next = await openState({ ...configOf(text), upstreams: groupsAsBefore, cache: cacheAsBefore }, dependencies, site);
      await closeState(site, next);
      site = next;
      resolver = { ...site.resolver, groups, cache };
    },
    async ask(name, type = "A", { address = "127.0.0.1", clientId = null, ...options } = {}) {
      const query = parsedQuery(queryWire(name, type, options));
      const startedMs = clock.now();
      const askedBefore = asked.length;
      const client: Client = { address, clientId, port: 5353, transport: "tcp", http: null, method: null };
      let ended = false;
      const terms = { client, mayWait: true, untilMs: startedMs + resolver.deadlineMs };
      const resolution = Promise.resolve(resolve(resolver, query, terms)).finally(() => {
        ended = true;
      });
      // The promise is awaited below; until then a fault of the server must not end the process.
      resolution.catch(() => {});
      await clock.advance(0);
      while (!ended && clock.now() - startedMs < LONGEST_MS) await clock.advance(1);
      if (!ended) throw new Error(`${name} ${type} had no reply in ${LONGEST_MS} ms`);
      const found = await resolution;
      return {
        reply: readReply(sent(query, found)),
        source: found.source,
        action: found.action,
        comparison: found.comparison ?? null,
        edits: found.edits ?? [],
        elapsedMs: clock.now() - startedMs,
        attempts: found.attempts.map(({ rcode }) => rcode),
        asked: asked.slice(askedBefore),
      };
    },
  };
}

/** Longer than any deadline. */
const LONGEST_MS = 10_000;

function configOf(text: string): Config {
  const parsed = parseConfig(text, null);
  if (parsed.kind === "invalid") throw new Error(printProblems(parsed.problems, parsed.text));
  return { ...parsed.config, access: UNASKED, cache: { ...parsed.config.cache, file: null } };
}

/** Queries of the workbench come behind `access`, which else would read the networks of this host for every five seconds that the clock advances. */
const UNASKED: Config["access"] = { clients: [], rateLimit: null };

function parsedQuery(message: Uint8Array): Query {
  const query = parseQuery(message);
  if (query === null || isRejection(query)) throw new Error("not a query");
  return query;
}

function sent(query: Query, { answer, ...rest }: Resolution): Uint8Array {
  if (answer === null) throw new Error("nothing is sent");
  return render({ query, answer, ...rest, limitBytes: 0xffff, encrypted: false }).wire;
}

/** A member of a group that follows a script, without sockets. */
export function memberOf(about: Pick<Upstream, "label" | "encrypted">, clock: FakeClock, script: Script): Upstream {
  let serial = 0;
  return {
    ...about,
    async exchange(question, errand) {
      const startedMs = clock.now();
      const { signal, attempts, group } = errand;
      const note = (rcode: number | null) =>
        attempts.push({
          group: group ?? null,
          server: about.label,
          transport: "udp",
          startedMs,
          elapsedMs: clock.now() - startedMs,
          rcode,
          failure: rcode === null ? "aborted" : null,
        });
      try {
        const answer = await carriedOut(await script(askedOf(question, ++serial)), { about, signal, clock });
        note(answer.rcode);
        return answer;
      } catch (error) {
        note(null);
        throw error;
      }
    },
    close: () => Promise.resolve(),
  };
}

function askedOf(question: Question, serial: number): Asked {
  const message = askMessage(question, { id: 0, edns: true, padded: false });
  return {
    query: parsedQuery(message),
    name: nameText(question.name),
    type: question.type,
    message,
    transport: "udp",
    remotePort: 53,
    connection: 0,
    serial,
    http: null,
  };
}

interface Carrying {
  readonly about: Pick<Upstream, "label">;
  readonly signal: ExchangeOptions["signal"];
  readonly clock: FakeClock;
}

function carriedOut(action: Action, { about, signal, clock }: Carrying): Promise<Answer> {
  const { promise, resolve: answer, reject } = Promise.withResolvers<Answer>();
  signal.addEventListener("abort", () => reject(new UpstreamError("aborted", about.label, "scripted")));
  const perform = (next: Action): void => {
    if (next.kind === "after") clock.setTimer(() => perform(next.action), next.delayMs);
    else if (next.kind === "reply") {
      const indexed = indexAnswer(Uint8Array.from(next.message));
      if (indexed === null) reject(new UpstreamError("malformed", about.label, "scripted"));
      else answer(indexed);
    } else if (next.kind === "close") reject(new UpstreamError("network", about.label, "scripted"));
    else if (next.kind !== "silence") throw new Error(`${next.kind} needs a socket`);
  };
  perform(action);
  return promise;
}
