import { bareAnswer, negativeAnswer } from "../answers/negative.ts";
import { rejectionReply, render, replyLimit } from "../answers/render.ts";
import { addressFromText } from "../dns/address.ts";
import { type Answer, buildAnswer } from "../dns/answer.ts";
import { isWithin, type Name, nameFromText } from "../dns/name.ts";
import { isRejection, parseQuery, type Query } from "../dns/query.ts";
import { RCODE, TYPE } from "../dns/types.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { type Listeners, openListeners } from "../listen/listeners.ts";
import { type Handler, NOWHERE } from "../listen/types.ts";

/** Which names there are, and what each side says of them: the two see different addresses, as the real ones do. */
export interface DemoName {
  readonly name: string;
  readonly domestic: readonly string[];
  readonly overseas: readonly string[];
}

/** A small made-up internet. The addresses are those that are set aside for documentation (RFC 5737, RFC 3849). */
export const DEMO_NAMES: readonly DemoName[] = [
  { name: "shop.example.cn", domestic: ["192.0.2.10", "2001:db8:1::10"], overseas: ["198.51.100.10"] },
  { name: "www.bank.example.cn", domestic: ["192.0.2.20"], overseas: ["198.51.100.20"] },
  { name: "video.example.net", domestic: ["203.0.113.66"], overseas: ["198.51.100.30", "2001:db8:2::30"] },
  { name: "news.example.org", domestic: ["203.0.113.66"], overseas: ["198.51.100.40", "2001:db8:2::40"] },
];

const ZONE_NAMES = ["example.cn", "example.net", "example.org"];
const TTL_SECONDS = 300;
const NEGATIVE_TTL_SECONDS = 60;

/** Serves the made-up internet as one of the two sides sees it, on a free port of 127.0.0.1. */
export function openDemoUpstream(side: "domestic" | "overseas", clock: Clock = systemClock): Promise<Listeners> {
  const zone = new Map(DEMO_NAMES.map((entry) => [nameOf(entry.name), entry[side]]));
  const handler: Handler = {
    answer(message) {
      const query = parseQuery(message);
      if (query === null) return null;
      if (isRejection(query)) return { wire: rejectionReply(query), maxAgeSeconds: null };
      const sending = { ttl: { kind: "keep" }, authenticated: false, extendedErrors: [], encrypted: false } as const;
      return render({ ...sending, query, answer: answerFrom(zone, query), limitOctets: replyLimit(query, true) });
    },
    answerJson: () => Promise.resolve({ kind: "bad", text: "the demonstration's upstreams speak DNS only" }),
  };
  const listen = { ...NOWHERE, dns: [{ address: "127.0.0.1", port: 0 }] };
  return openListeners({ listen, tls: null, trustedProxies: [] }, handler, { clock });
}

function answerFrom(zone: ReadonlyMap<Name, readonly string[]>, query: Query): Answer {
  const { name, type, class: klass } = query;
  const apex = ZONE_NAMES.map(nameOf).find((zoneName) => isWithin(name, zoneName));
  if (apex === undefined) return bareAnswer(query, RCODE.REFUSED);
  const octets = (zone.get(name) ?? []).map(addressFromText).filter((address) => address !== null);
  const ofFamily = octets.filter(({ length }) => (type === TYPE.A && length === 4) || (type === TYPE.AAAA && length === 16));
  if (ofFamily.length > 0) {
    const answers = ofFamily.map((data) => ({ owner: name, type, ttlSeconds: TTL_SECONDS, data }));
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
