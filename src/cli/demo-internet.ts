import { emptyAnswer, negativeAnswer } from "../answers/negative.ts";
import { rejectionReply, render, replyLimit } from "../answers/render.ts";
import { addressFromText } from "../dns/address.ts";
import { type Answer, buildAnswer } from "../dns/answer.ts";
import { isWithin, type Name, nameFromText } from "../dns/name.ts";
import { isRejection, parseQuery, type Query } from "../dns/query.ts";
import { RCODE, TYPE } from "../dns/types.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { type Listeners, openListeners } from "../listen/listeners.ts";
import type { Handler } from "../listen/types.ts";

/**
 * The made-up internet of `fenliu demo`: two upstreams on loopback that see it differently, and what is wrong with it at a time. `demo-house.ts` has
 * the clients.
 */

/** What is wrong with an upstream at the moment. */
export interface DemoFaults {
  /** Answers SERVFAIL to everything. */
  isDown: boolean;
  /** How long an answer takes. */
  delayMs: number;
}

/** Names that have no good answer anywhere: their servers are broken. */
export const BROKEN_NAMES = ["login.office.example", "api.office.example"];
/** A name that was there for some days, and is gone. */
export const GONE_NAME = "old.album.example";

/** A name, and the addresses that each side gives: the two sides differ, as real ones do. */
interface DemoName {
  readonly name: string;
  readonly domestic: readonly string[];
  readonly overseas: readonly string[];
}

/** A small made-up internet, with the addresses set aside for documentation (RFC 5737, RFC 3849). */
const DEMO_NAMES: readonly DemoName[] = [
  { name: "shop.example.cn", domestic: ["192.0.2.10", "2001:db8:1::10"], overseas: ["198.51.100.10"] },
  { name: "www.bank.example.cn", domestic: ["192.0.2.20"], overseas: ["198.51.100.20"] },
  { name: "video.example.net", domestic: ["203.0.113.66"], overseas: ["198.51.100.30", "2001:db8:2::30"] },
  { name: GONE_NAME, domestic: ["192.0.2.50"], overseas: ["198.51.100.50"] },
  { name: "page.example.cn", domestic: ["192.0.2.60"], overseas: ["198.51.100.60"] },
  { name: "news.example.org", domestic: ["203.0.113.66"], overseas: ["198.51.100.40", "2001:db8:2::40"] },
];

/** Sites that a house asks for; each has `www`, `api` and `img`. */
export const SITES = [
  ...["cloud", "mail", "office", "maps", "music", "photos", "chat", "game", "weather", "code", "stream", "wiki"].map(
    (site) => `${site}.example`,
  ),
  ...["bazaar", "talk", "clips", "films", "market", "camera", "atlas", "notes"].map((site) => `${site}.example.cn`),
];
const HOSTS = ["www", "api", "img"];

function addressesOf(side: "domestic" | "overseas"): ReadonlyMap<Name, readonly string[]> {
  const network = side === "domestic" ? "192.0.2" : "198.51.100";
  const ofSites = SITES.flatMap((site, index) =>
    ["", ...HOSTS].map((host, place) => {
      const last = 100 + ((index * 4 + place) % 100);
      const name = nameOf(host === "" ? site : `${host}.${site}`);
      return [
        name,
        [`${network}.${last}`, ...(place === 1 ? [`2001:db8:${side === "domestic" ? 1 : 2}::${last}`] : [])],
      ] as const;
    }),
  );
  return new Map([...ofSites, ...DEMO_NAMES.map((entry) => [nameOf(entry.name), entry[side]] as const)]);
}

const ZONE_NAMES = ["example.cn", "example.net", "example.org", "example"];
const GONE_SINCE_MS = 20 * 3_600_000;
const TTL_SECONDS = 300;
/** Of the sites of the house: half of its queries are answered from the cache. */
const LONG_TTL_SECONDS = 3 * 3600;
const NEGATIVE_TTL_SECONDS = 60;

/** Serves the made-up internet as one side sees it, on a free port of 127.0.0.1. */
export function openDemoUpstream(
  side: "domestic" | "overseas",
  faults: DemoFaults,
  clock: Clock = systemClock,
): Promise<Listeners> {
  const zone = new Map(addressesOf(side));
  const gone = nameOf(GONE_NAME);
  const broken = BROKEN_NAMES.map(nameOf);
  const handler: Handler = {
    async answer(message) {
      if (faults.delayMs > 0) await new Promise<void>((resolve) => clock.setTimer(() => resolve(), faults.delayMs));
      const query = parseQuery(message);
      if (query === null) return null;
      if (isRejection(query)) return { wire: rejectionReply(query), maxAgeSeconds: null };
      const sending = { ttl: { kind: "keep" }, authenticated: false, extendedErrors: [], encrypted: false } as const;
      const isBroken = faults.isDown || broken.includes(query.name);
      const isGone = query.name === gone && clock.wallMs() > Date.now() - GONE_SINCE_MS;
      const answer = isBroken ? emptyAnswer(query, RCODE.SERVFAIL) : answerFrom(isGone ? new Map() : zone, query);
      return render({ ...sending, query, answer, limitBytes: replyLimit(query, true) });
    },
    shed: () => null,
    mayConnect: () => true,
    answerJson: () => Promise.resolve({ kind: "bad", text: "the demonstration's upstreams speak DNS only" }),
  };
  const dns = [{ address: "127.0.0.1", port: 0 }];
  const listen = {
    dns,
    tls: [],
    https: [],
    http: [],
    admin: null,
    dohPath: "/dns-query",
    proxyProtocol: [],
    batch: "off",
  } as const;
  return openListeners({ listen, tls: null, trustedProxies: [] }, handler, { clock });
}

function answerFrom(zone: ReadonlyMap<Name, readonly string[]>, query: Query): Answer {
  const { name, type, class: klass } = query;
  const apex = ZONE_NAMES.map(nameOf).find((zoneName) => isWithin(name, zoneName));
  if (apex === undefined) return emptyAnswer(query, RCODE.REFUSED);
  const addresses = (zone.get(name) ?? []).map(addressFromText).filter((address) => address !== null);
  const ofFamily = addresses.filter(({ length }) => (type === TYPE.A && length === 4) || (type === TYPE.AAAA && length === 16));
  if (ofFamily.length > 0) {
    const ttlSeconds = isWithin(name, nameOf("example")) ? LONG_TTL_SECONDS : TTL_SECONDS;
    const answers = ofFamily.map((data) => ({ owner: name, type, ttlSeconds, data }));
    return buildAnswer({ name, type, class: klass, rcode: RCODE.NOERROR, answers, authority: [] });
  }
  const exists = [...zone.keys()].some((known) => isWithin(known, name));
  const rcode = exists ? RCODE.NOERROR : RCODE.NXDOMAIN;
  return negativeAnswer(query, { rcode, soaOwner: apex, ttlSeconds: NEGATIVE_TTL_SECONDS });
}

function nameOf(text: string): Name {
  const name = nameFromText(text);
  if (name === null) throw new Error(`${text} is no name`);
  return name;
}
