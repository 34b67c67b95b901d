import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Message } from "../../src/dns/message.ts";
import { nameFromText } from "../../src/dns/name.ts";
import { RCODE } from "../../src/dns/types.ts";
import { question, responseWire, zone } from "../dns/zone.ts";
import { type GroupSetup, siteWith, type TestSite } from "../support/site.ts";
import { respond } from "../support/zone-script.ts";
import { type Action, type Asked, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

/**
 * Every way known to us to bring forged records into a forwarder (RFC 5452, RFC 9460, and what was seen in the wild), over every transport: none may reach
 * the client, and none may speak for another name. What a trick leaves of an answer stands in `leaves`. Letters and cookies that are not those sent are in
 * `transports/udp.test.ts`, early answers without EDNS too.
 */

/** What every name has, by those who do not lie. */
const REAL = "192.0.2.7";
/** What forgers want a client to get. */
const FORGED = "203.0.113.66";
/** The same, and known for it: it stands in `poison`. */
const POISON = "203.0.113.99";
/** A zone of the forger's. */
const EVIL = "evil.net";

type Way = "udp" | "tcp" | "tls" | "h2" | "h1";
const WAYS: readonly Way[] = ["udp", "tcp", "tls", "h2", "h1"];
const STREAMS: readonly Way[] = ["tcp", "tls"];
const HTTPS: readonly Way[] = ["h2", "h1"];

/** `real` = the answer of those who do not lie; `empty` = NOERROR without records; `failed` = SERVFAIL. */
type Leaves = "real" | "empty" | "failed" | "NXDOMAIN";

interface Trick {
  readonly play: (asked: Asked) => Action;
  readonly leaves: Leaves | ((way: Way) => Leaves);
  /** Absent = A. */
  readonly type?: string;
  /** Absent = all. */
  readonly ways?: readonly Way[];
}

const honest = (asked: Asked): Action => respond(asked, { answers: zone(`${asked.name} A ${REAL}`) });
const binding = (asked: Asked): Action => respond(asked, { answers: zone(`${asked.name} HTTPS 1 . alpn=h2`) });
const forgedParts = ({ name }: Asked): Partial<Message> => ({ answers: zone(`${name} A ${FORGED}`) });
const forged = (asked: Asked): Buffer => wireOf(respond(asked, forgedParts(asked)));
const answers =
  (...lines: readonly string[]) =>
  (asked: Asked): Action =>
    respond(asked, { answers: zone(...lines.map((line) => line.replaceAll("@", asked.name))) });

/** The forger is faster than the server. */
const before =
  (forge: (asked: Asked) => Buffer) =>
  (asked: Asked): Action => ({ kind: "all", actions: [{ kind: "raw", message: forge(asked) }, honest(asked)] });

/** The forged message under the right id, edited. */
const edited = (edit: (message: Buffer, asked: Asked) => void) =>
  before((asked) => {
    const message = forged(asked);
    message.writeUInt16BE(asked.query.id, 0);
    edit(message, asked);
    return message;
  });

// Datagrams that answer nothing are ignored, and the real one counts. On a stream such a message ends the attempt.
const ignoredOverUdp = (way: Way): Leaves => (way === "udp" ? "real" : "failed");

const TRICKS: Readonly<Record<string, Trick>> = {
  "another id": {
    play: edited((message) => message.writeUInt16BE(message.readUInt16BE(0) ^ 0x5555, 0)),
    leaves: "real",
    ways: ["udp", ...STREAMS],
  },
  "every id but the right one, as far as a forger gets": {
    play: (asked) => {
      const guesses = Array.from({ length: 200 }, (_, index): Action => {
        const message = forged(asked);
        message.writeUInt16BE((asked.query.id + 1 + index) & 0xffff, 0);
        return { kind: "raw", message };
      });
      return { kind: "all", actions: [...guesses, honest(asked)] };
    },
    leaves: "real",
    ways: ["udp", ...STREAMS],
  },
  "another name in the question": {
    play: before((asked) => underId(asked, { questions: [question(`other.${EVIL}`)], ...forgedParts(asked) })),
    leaves: ignoredOverUdp,
  },
  "another type in the question": {
    play: before((asked) => underId(asked, { questions: [question(asked.name, "AAAA")], ...forgedParts(asked) })),
    leaves: ignoredOverUdp,
  },
  "another class in the question": {
    play: edited((message, { query }) => message.writeUInt16BE(3, 12 + query.name.length + 2)),
    leaves: ignoredOverUdp,
  },
  "no question": { play: before((asked) => underId(asked, { questions: [], ...forgedParts(asked) })), leaves: ignoredOverUdp },
  "two questions": {
    play: before((asked) =>
      underId(asked, { questions: [question(asked.name), question(`victim.${asked.name}`)], ...forgedParts(asked) }),
    ),
    leaves: ignoredOverUdp,
  },
  "no response": { play: edited((message) => message.writeUInt8((message[2] ?? 0) & 0x7f, 2)), leaves: ignoredOverUdp },
  "another opcode": { play: edited((message) => message.writeUInt8((message[2] ?? 0) | 0x28, 2)), leaves: ignoredOverUdp },
  "a late duplicate": {
    play: (asked) => ({ kind: "all", actions: [honest(asked), { kind: "reply", message: forged(asked) }] }),
    leaves: "real",
  },
  "an answer cut short": { play: before((asked) => underId(asked, forgedParts(asked)).subarray(0, -2)), leaves: ignoredOverUdp },
  "a pointer to itself": {
    play: edited((message, { query }) =>
      message.writeUInt16BE(0xc000 | (12 + query.name.length + 4), 12 + query.name.length + 4),
    ),
    leaves: ignoredOverUdp,
  },
  "trailing bytes": {
    play: (asked) => ({ kind: "reply", message: Buffer.concat([wireOf(honest(asked)), forged(asked)]) }),
    leaves: "real",
  },
  "a message of more than 64 KB": {
    play: (asked) => ({ kind: "reply", message: Buffer.concat([forged(asked), Buffer.alloc(70_000)]) }),
    leaves: "failed",
    ways: HTTPS,
  },
  "extra answers": {
    play: answers(`@ A ${REAL}`, `victim.@ A ${FORGED}`, `${EVIL} A ${FORGED}`, `@ TXT ${FORGED}`),
    leaves: "real",
  },
  "another owner": { play: answers(`victim.@ A ${FORGED}`), leaves: "empty" },
  "another type": { play: answers("@ AAAA 2001:db8:bad::66", `@ TXT ${FORGED}`), leaves: "empty" },
  "a broken chain": { play: answers("@ CNAME a.cdn.net", `b.cdn.net A ${FORGED}`), leaves: "empty" },
  "an alias of another name": {
    play: answers(`@ A ${REAL}`, `victim.@ CNAME ${EVIL}`, `${EVIL} A ${FORGED}`),
    leaves: "real",
  },
  "an alias beside an address": { play: answers(`@ A ${REAL}`, `@ CNAME ${EVIL}`, `${EVIL} A ${FORGED}`), leaves: "real" },
  "a circle of aliases": { play: answers("@ CNAME a.@", "a.@ CNAME @", `b.@ A ${FORGED}`), leaves: "empty" },
  "a DNAME of another zone": { play: answers(`@ A ${REAL}`, `victim.@ DNAME ${EVIL}`), leaves: "real" },
  "a delegation with glue": {
    play: (asked) =>
      respond(asked, {
        answers: zone(`${asked.name} A ${REAL}`),
        authority: zone(`example NS ns.${EVIL}`, `${asked.name} NS victim.${asked.name}`, `${EVIL} NS ns.${EVIL}`),
        additional: zone(`ns.${EVIL} A ${FORGED}`, `victim.${asked.name} A ${FORGED}`),
      }),
    leaves: "real",
  },
  "a delegation and no answer": {
    play: (asked) => respond(asked, { authority: zone(`example NS ns.${EVIL}`), additional: zone(`ns.${EVIL} A ${FORGED}`) }),
    leaves: "empty",
  },
  "addresses in the wrong section": {
    play: (asked) =>
      respond(asked, {
        answers: zone(`${asked.name} A ${REAL}`),
        authority: zone(`${asked.name} A ${FORGED}`),
        additional: zone(
          `${asked.name} A ${FORGED}`,
          `victim.${asked.name} A ${FORGED}`,
          `${asked.name} HTTPS 1 . ipv4hint=${FORGED}`,
        ),
      }),
    leaves: "real",
  },
  "NODATA with the SOA of another zone": {
    play: (asked) => respond(asked, { authority: zone(`${EVIL} SOA a. b. 1 2 3 4 86400`) }),
    leaves: "empty",
  },
  "NXDOMAIN with the SOA of another zone": {
    play: (asked) => respond(asked, { rcode: RCODE.NXDOMAIN, authority: zone(`${EVIL} SOA a. b. 1 2 3 4 86400`) }),
    leaves: "NXDOMAIN",
  },
  "NXDOMAIN with an address": {
    play: (asked) => respond(asked, { rcode: RCODE.NXDOMAIN, ...forgedParts({ ...asked, name: EVIL }) }),
    leaves: "NXDOMAIN",
  },
  "an address of poison": { play: answers(`@ A ${POISON}`), leaves: "failed" },
  "an address of poison behind an alias": { play: answers(`@ CNAME ${EVIL}`, `${EVIL} A ${POISON}`), leaves: "failed" },
  "an address of poison beside a real one": { play: answers(`@ A ${REAL}`, `@ A ${POISON}`), leaves: "failed" },
  "TYPE65: an address as answer": { type: "HTTPS", play: answers(`@ A ${FORGED}`), leaves: "empty" },
  "TYPE65: an alias to an address": {
    type: "HTTPS",
    play: answers(`@ CNAME ${EVIL}`, `${EVIL} A ${FORGED}`),
    leaves: "empty",
  },
  "TYPE65: an address beside the binding": {
    type: "HTTPS",
    play: answers("@ HTTPS 1 . alpn=h2", `@ A ${FORGED}`),
    leaves: "empty",
  },
  "TYPE65: a hint of poison": { type: "HTTPS", play: answers(`@ HTTPS 1 . alpn=h2 ipv4hint=${POISON}`), leaves: "empty" },
  "TYPE65: a hint of poison among others": {
    type: "HTTPS",
    play: answers(`@ HTTPS 1 . ipv4hint=${REAL},${POISON}`),
    leaves: "empty",
  },
  "TYPE65: a hint of poison in a record that is malformed": {
    type: "HTTPS",
    play: (asked) => {
      const message = wireOf(answers(`@ HTTPS 1 . alpn=h2 ipv4hint=${POISON}`)(asked));
      // The length of the hint is beyond the end of the record.
      message[message.length - 5] = 200;
      return { kind: "reply", message };
    },
    leaves: "empty",
  },
  "TYPE65: a hint of poison in another service": {
    type: "HTTPS",
    play: answers("@ HTTPS 1 . alpn=h2", `@ HTTPS 2 ${EVIL} ipv4hint=${POISON}`),
    leaves: "empty",
  },
  "TYPE65: an alias mode to a host of poison": {
    type: "HTTPS",
    play: (asked) => respond(asked, { answers: zone(`${asked.name} HTTPS 0 ${EVIL}`), additional: zone(`${EVIL} A ${POISON}`) }),
    leaves: "empty",
  },
  "TYPE65: an alias mode to a binding with a hint of poison": {
    type: "HTTPS",
    play: (asked) =>
      respond(asked, {
        answers: zone(`${asked.name} HTTPS 0 ${EVIL}`),
        additional: zone(`${EVIL} HTTPS 1 . ipv4hint=${POISON}`),
      }),
    leaves: "empty",
  },
  "TYPE65: addresses of other names beside the binding": {
    type: "HTTPS",
    play: (asked) =>
      respond(asked, { answers: zone(`${asked.name} HTTPS 1 . alpn=h2`), additional: zone(`victim.${asked.name} A ${FORGED}`) }),
    leaves: "real",
  },
  "TYPE65: a binding of another owner": {
    type: "HTTPS",
    play: answers(`victim.@ HTTPS 1 ${EVIL} ipv4hint=${FORGED}`),
    leaves: "empty",
  },
  "TYPE64 in answer to TYPE65": { type: "HTTPS", play: answers(`@ SVCB 1 ${EVIL} ipv4hint=${FORGED}`), leaves: "empty" },
};

function wireOf(action: Action): Buffer {
  if (action.kind !== "reply") throw new Error("no reply");
  return Buffer.from(action.message);
}

function underId({ query }: Asked, parts: Partial<Message>): Buffer {
  return responseWire({ id: query.id, questions: [{ name: query.name, type: query.type, class: query.class }], ...parts });
}

const cases = Object.entries(TRICKS);

/** Plays the trick that the name begins with. */
function script(asked: Asked): Action {
  const [label = "", ...rest] = asked.name.split(".");
  const trick = rest.length === 2 ? cases[Number(label.slice(1))]?.[1] : undefined;
  if (trick !== undefined) return trick.play(asked);
  return asked.type === 65 ? binding(asked) : honest(asked);
}

/** The server's first protocol is UDP; this one is asked over TCP alone. */
async function overTcp(): Promise<ScriptedServer> {
  const server = await scriptedServer("dns", script);
  onTestFinished(() => server.close());
  return { ...server, options: (changes) => server.options({ protocol: "tcp", ...changes }) };
}

const rules = WAYS.map((way) => `  - { name: ${way}, domains: ${way}.example, upstream: ${way} }`).join("\n");
const YAML = `rules:\n${rules}\npoison: [${POISON}]\n`;

async function openSite(): Promise<TestSite> {
  const groups: Record<Way, GroupSetup> = {
    udp: { servers: [script] },
    tcp: { servers: [await overTcp()] },
    tls: { servers: [script], transport: "tls" },
    h2: { servers: [script], transport: "h2" },
    h1: { servers: [script], transport: "h1" },
  };
  return await siteWith({ upstreams: groups, yaml: YAML });
}

/** What no reply may hold: addresses in any record, and the forger's names. */
const MARKS = [
  ...[FORGED, POISON].flatMap((address) => [Buffer.from(address.split(".").map(Number)), Buffer.from(address)]),
  Buffer.from("20010db80bad", "hex"),
  Buffer.from(nameFromText(EVIL) ?? "", "latin1"),
];

function expectClean(wire: Uint8Array, what: string): void {
  const found = MARKS.filter((mark) => Buffer.from(wire).includes(mark));
  expect(found, `${what}: ${Buffer.from(wire).toString("latin1")}`).toEqual([]);
}

describe("nothing forged is passed on", () => {
  test("whatever comes back from an upstream, over any transport", { timeout: 30_000 }, async () => {
    const site = await openSite();
    const faults: string[] = [];
    for (const [index, [title, trick]] of cases.entries()) {
      const { type = "A", ways = WAYS, leaves } = trick;
      for (const way of ways) {
        const name = `t${index}.${way}.example`;
        const reply = await site.ask(name, type);
        expectClean(reply.wire, `${title} over ${way}`);
        const wanted = typeof leaves === "function" ? leaves(way) : leaves;
        const real = type === "A" ? REAL : "1 . alpn=h2";
        const got =
          reply.answers.join() === real
            ? "real"
            : reply.answers.length > 0
              ? "other"
              : ({ NOERROR: "empty", SERVFAIL: "failed" }[reply.rcode] ?? reply.rcode);
        if (got !== wanted) faults.push(`${title} over ${way}: ${got}, not ${wanted}`);
        // It says nothing about the names beside it, now and from the cache.
        const victim = await site.ask(`victim.${name}`);
        if (victim.answers.join() !== REAL)
          faults.push(`${title} over ${way}: its victim is ${victim.rcode} ${victim.answers.join(" ")}`);
      }
    }
    expect(faults).toEqual([]);
  });

  test("from another port or address than the server's", async () => {
    const strangers = [createSocket("udp4"), createSocket("udp4")];
    for (const [index, stranger] of strangers.entries()) {
      stranger.bind(0, `127.0.0.${index + 1}`);
      await once(stranger, "listening");
    }
    const site = await siteWith({
      upstreams: {
        udp: async (asked) => {
          const message = underId(asked, forgedParts(asked));
          await Promise.all(
            strangers.map((stranger) => new Promise((sent) => stranger.send(message, asked.remotePort, "127.0.0.1", sent))),
          );
          return honest(asked);
        },
      },
    });
    expect((await site.ask("page.example")).answers).toEqual([REAL]);
    for (const stranger of strangers) stranger.close();
  });
});
