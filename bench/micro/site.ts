import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheKey } from "../../src/cache/key.ts";
import { parseConfig } from "../../src/config/load.ts";
import { buildAnswer, indexAnswer } from "../../src/dns/answer.ts";
import { isRejection, parseQuery, type Query } from "../../src/dns/query.ts";
import { RCODE, TYPE } from "../../src/dns/types.ts";
import type { Client } from "../../src/lib/client.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { openState, type ServerState } from "../../src/server/state.ts";
import { dohQuestion, type Zone } from "../zone.ts";

export const CLIENT: Client = { address: "127.0.0.1", port: 53_000, transport: "udp", http: null, method: null, clientId: null };

/** A site whose cache answers every message. */
export interface FilledSite {
  readonly site: ServerState;
  readonly messages: readonly Uint8Array[];
  readonly queries: readonly Query[];
  /** The list of the rule that decides; null where there is no real one, and a handful of names stand for it. */
  readonly list: string | null;
}

/** Where real lists are: FENLIU_TEST_DATA, else `shared/data` beside the project; null = nowhere. */
export function realList(file: string): string | null {
  const folder = process.env["FENLIU_TEST_DATA"] ?? fileURLToPath(new URL("../../../shared/data", import.meta.url));
  const path = join(folder, file);
  return existsSync(path) ? path : null;
}

/** Built as `fenliu serve` builds it, with a split by a large list as in the file that is shipped; upstream is never asked. */
export async function filledSite(zone: Zone): Promise<FilledSite> {
  const list = realList("accelerated-domains.china.conf");
  const lists = list === null ? "" : `lists: { cn: { domains: [${JSON.stringify(list)}] } }\n`;
  const split = list === null ? "domains: [example.cn], upstream: domestic" : 'longest: { "list:cn": domestic }';
  const yaml = `upstreams: { domestic: { servers: [127.0.0.2] }, overseas: { servers: [127.0.0.3] } }
${lists}rules: [{ name: split, ${split} }, { name: others, upstream: overseas }]
cache: { file: null }
`;
  const parsed = parseConfig(yaml, null);
  if (parsed.kind === "invalid") throw new Error(parsed.problems.map(({ message }) => message).join("\n"));
  const log = operationsLog("error", (line) => process.stderr.write(line), false);
  const site = await openState(parsed.config, { clock: systemClock, log, ca: null, resolvConf: "/dev/null" }, null);
  const messages = zone.hosts.map((host) => Uint8Array.from(Buffer.from(dohQuestion(host), "base64url")));
  const queries = messages.map(queryOf);
  for (const query of queries) hold(site, query);
  return { site, messages, queries, list };
}

function queryOf(message: Uint8Array): Query {
  const query = parseQuery(message);
  if (query === null || isRejection(query)) throw new Error("the benchmark's own question is refused");
  return query;
}

function hold({ resolver }: ServerState, query: Query): void {
  const { name, type, class: klass } = query;
  const data = Uint8Array.of(198, 51, 100, 7);
  const record = { owner: name, type: TYPE.A, ttlSeconds: 86_400, data };
  const built = buildAnswer({ name, type, class: klass, rcode: RCODE.NOERROR, answers: [record], authority: [] });
  const answer = indexAnswer(Uint8Array.from(built.wire));
  const decision = resolver.decider.decide(query, CLIENT);
  if (answer === null || decision.kind !== "forward") throw new Error("the benchmark's own question is not forwarded");
  resolver.cache.put(cacheKey(query, decision.group), answer, { limits: decision.context.settings.shaping });
}
