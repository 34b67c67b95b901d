import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { render, replyLimit } from "../../src/answers/render.ts";
import { editBindings } from "../../src/answers/svcb.ts";
import { parseConfig } from "../../src/config/load.ts";
import { AddressSet } from "../../src/dns/address.ts";
import { addressesOf, indexAnswer } from "../../src/dns/answer.ts";
import { keepChain } from "../../src/dns/chain.ts";
import { decodeMessage } from "../../src/dns/message.ts";
import { askMessage, isRejection, parseQuery, type Query } from "../../src/dns/query.ts";
import { frame, MessageFramer } from "../../src/dns/wire.ts";
import { readHostsFile } from "../../src/hosts/parse.ts";
import { runSync } from "../../src/lib/cooperative.ts";
import { ConnectionTable } from "../../src/listen/connection-table.ts";
import { DohService, type HttpPeer } from "../../src/listen/doh.ts";
import { readWholeRequest } from "../../src/listen/http1-request.ts";
import { Http2Connection } from "../../src/listen/http2-connection.ts";
import { LISTEN_LIMITS } from "../../src/listen/limits.ts";
import { readProxyHeader } from "../../src/listen/tcp.ts";
import { Turns } from "../../src/listen/turns.ts";
import type { ListenServices } from "../../src/listen/types.ts";
import { ListBuilder } from "../../src/lists/readers.ts";
import { EntryReader } from "../../src/log/entries.ts";
import { countEntries, ENTRY, TextTable } from "../../src/log/ring.ts";
import { decodeRow, storedRowOf } from "../../src/log/rows.ts";
import { fakeClock } from "../support/fake-clock.ts";

/** One reader of bytes from strangers. */
export interface FuzzTarget {
  /** Files of `src/` whose coverage leads the search. */
  readonly covers: RegExp;
  /** Texts that lead into the depths of the format. */
  readonly words: readonly string[];
  /** Reads the input, and throws where a law of the reader is broken. */
  readonly read: (input: Buffer) => void;
}

const QUERY: Query = {
  id: 7,
  name: "\x01a\x04test\0" as Query["name"],
  type: 1,
  class: 1,
  dnssecOk: false,
  checkingDisabled: false,
  clientSubnet: null,
  recursionDesired: true,
  authenticData: false,
  questionWire: Buffer.from("\x01a\x04test\0\0\x01\0\x01", "latin1"),
  edns: null,
};

/** Types, classes and options that the wire format treats in ways of their own. */
const DNS_WORDS = [
  "\x01a\x04test\0",
  "\xc0\x0c",
  "\0\x41\0\x01",
  "\0\x40\0\x01",
  "\0\x05\0\x01",
  "\0\x06\0\x01",
  "\0\x29\x04\xd0",
  "\0\x2e\0\x01",
];

const clock = fakeClock();
const counters = { udpInFlight: 0, udpUnsent: 0, udpShed: 0, connections: 0, connectionsRefused: 0, connectionsEvicted: 0 };
const SERVICES: ListenServices = {
  handler: {
    answer: (message) => (parseQuery(message) === null ? null : { wire: message, maxAgeSeconds: 1 }),
    shed: () => null,
    mayConnect: () => true,
    answerJson: async (parameters) => ({ kind: "bad", text: String(parameters) }),
  },
  clock,
  limits: LISTEN_LIMITS,
  counters,
  connections: new ConnectionTable(LISTEN_LIMITS, counters, clock),
  turns: new Turns(),
  inherited: null,
  proxyPeers: AddressSet.of(),
  trustedProxies: AddressSet.of("192.0.2.1"),
  report: () => {},
};
const DOH = new DohService("/dns-query", SERVICES);
const PEER: HttpPeer = { direct: { address: "192.0.2.1", port: 7 }, isTrusted: true, clientId: null };
const HTTP_WORDS = [
  "GET /dns-query",
  "?dns=AAABAAABAAAAAAAAAWEEdGVzdAAAAQAB",
  "?name=a.test&type=",
  "POST /dns-query",
  "content-type: application/dns-message\r\n",
  "x-forwarded-for: ",
  " HTTP/1.1\r\n",
  "\r\n\r\n",
];

export const FUZZ_TARGETS: Readonly<Record<string, FuzzTarget>> = {
  query: {
    covers: /src\/(dns|answers)\//,
    words: [...DNS_WORDS, "\0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x08\0\x07\0\x01\x18\0\xc0\0\x02"],
    read(input) {
      const query = parseQuery(input);
      decodeMessage(input);
      if (query === null || isRejection(query)) return;
      const asked = parseQuery(askMessage(query, { id: query.id, edns: true, padded: true }));
      demand(asked !== null && !isRejection(asked) && asked.name === query.name && asked.type === query.type, "another question");
    },
  },
  answer: {
    covers: /src\/(dns|answers)\//,
    words: DNS_WORDS,
    read(input) {
      const indexed = indexAnswer(new Uint8Array(input));
      decodeMessage(input);
      if (indexed === null) return;
      const answer = keepChain(indexed);
      addressesOf(answer);
      const hintsFor = () => ({ ipv4: false, ipv6: true });
      const edited = editBindings(answer, {
        strips: ["strip-ech", "strip-h3"],
        hintsFor,
        allows: ([first]) => first !== 10,
      }).answer;
      if (edited === null) return;
      const query = { ...QUERY, name: answer.name, type: answer.type, class: answer.class };
      const { wire } = render({
        query: { ...query, questionWire: edited.wire.subarray(12, 16 + answer.name.length) },
        answer: edited,
        ttl: { kind: "age", ageSeconds: 3, limits: { minSeconds: 0, maxSeconds: 86_400 } },
        authenticated: false,
        extendedErrors: [],
        limitBytes: replyLimit(QUERY, false),
        encrypted: false,
      });
      demand(indexAnswer(new Uint8Array(wire)) !== null, "a reply that cannot be read");
    },
  },
  framing: {
    covers: /src\/dns\/wire\.ts|src\/listen\/tcp\.ts|src\/lib\/stream-start\.ts/,
    words: [
      "\0\x0c",
      "PROXY TCP4 192.0.2.7 192.0.2.1 7 53\r\n",
      "PROXY TCP6 ::1 ::2 7 53\r\n",
      "PROXY UNKNOWN\r\n",
      "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
    ],
    read(input) {
      const header = readProxyHeader(input);
      demand(typeof header === "string" || header.takenBytes <= input.length, "a header longer than its bytes");
      // Wherever the stream is cut, the messages are the same.
      const whole = messagesOf([input]);
      const cut = input.length === 0 ? 0 : (input[0] ?? 0) % input.length;
      const parts = messagesOf([input.subarray(0, cut), input.subarray(cut)]);
      demand(Buffer.concat(whole).equals(Buffer.concat(parts)), "other messages from a stream that is cut");
    },
  },
  http1: {
    covers: /src\/listen\/(http1-request|doh|client-address)\.ts/,
    words: [...HTTP_WORDS, "content-length: 21\r\n", "connection: keep-alive\r\n"],
    read(input) {
      for (let at = 0; ; ) {
        const request = readWholeRequest(input, at);
        if (request === null) return;
        demand(request.end > at && request.end <= input.length, "a request beyond its bytes");
        at = request.end;
        void DOH.respond(request.head, request.body, { version: "1.1", peer: PEER, arrivedMs: 0 });
      }
    },
  },
  http2: {
    covers: /src\/listen\/(http2|http2-connection|doh|body)/,
    words: [
      "\0\0\0\x04\0\0\0\0\0",
      "\0\0\x08\x06\0\0\0\0\0",
      "\0\0\x04\x08\0\0\0\0\x01",
      "\0\0\x04\x03\0\0\0\0\x01",
      "\x01\x05\0\0\0\x01",
      "\x01\x04\0\0\0\x03",
      "\x09\x04\0\0\0\x01",
      "\x82\x86\x84",
      "\x83",
      "\x44\x0a/dns-query",
    ],
    read(input) {
      const socket = new SilentSocket();
      const connection = new Http2Connection(socket as Duplex as Socket, PEER, { service: DOH, services: SERVICES });
      socket.push(Buffer.concat([Buffer.from("\0\0\0\x04\0\0\0\0\0", "latin1"), input]));
      // The bytes are read at once where they are asked for.
      socket.read();
      connection.finish();
      socket.destroy();
    },
  },
  doh: {
    covers: /src\/listen\/(doh|client-address|body)\.ts/,
    words: HTTP_WORDS,
    read(input) {
      const [method = "", target = "", contentType, forwardedFor, realIp] = input.toString("latin1").split("\n");
      const head = { method, target, contentType, contentEncoding: undefined, forwardedFor, realIp };
      void DOH.respond(head, { kind: "whole", bytes: new Uint8Array(input) }, { version: "2", peer: PEER, arrivedMs: 0 });
    },
  },
  lists: {
    covers: /src\/(lists|hosts|dns\/(name|address))|src\/lib\/bounded-regexp/,
    words: [
      "server=/a.test/",
      "0.0.0.0 a.test\n",
      "||a.test^\n",
      "@@||",
      "$important",
      "payload:\n  - '+.a.test'\n",
      "DOMAIN-SUFFIX,",
      "regexp:^a.*b$\n",
      "keyword:",
      "[AutoProxy]\n",
      "10.0.0.0/8\n",
      "2001:db8::/32\n",
      "IP-CIDR,",
      "\x0a\x1c\x0a\x02CN\x12\x0a\x08\x02\x12\x06a.test",
    ],
    read(input) {
      for (const kind of ["domains", "addresses"] as const)
        for (const category of [null, "cn", "plain"]) {
          const builder = new ListBuilder({ name: "fuzzed", kind });
          runSync(builder.read(input, category, "fuzzed.txt"));
          const { domains, addresses } = runSync(builder.build());
          domains?.match(QUERY.name, true);
          addresses?.has(Uint8Array.of(10, 0, 0, 1));
        }
      readHostsFile(input.toString("latin1"), "hosts.txt");
    },
  },
  config: {
    covers: /src\/(config|rules|lib)\//,
    words: [
      'listen:\n  dns: ["127.0.0.1:0"]\n',
      "upstreams: { a: { servers: [192.0.2.1] } }\n",
      "rules:\n  - { name: r, domains: [a.test], upstream: a }\n",
      "compare: { near: a, far: b }",
      "hosts: { records: { nas.lan: 10.0.0.5 } }\n",
      "regexp:",
      "list:",
      "64MiB",
      "250ms",
      "&a",
      "*a",
      "!!",
      "|\n  ",
    ],
    read(input) {
      parseConfig(input.toString("utf8"), null);
    },
  },
  ring: {
    covers: /src\/log\/(entries|ring|rows|sent|record|text)\.ts|src\/dns\//,
    words: ["\x40\0\0\0", "\x01\0\0\0", ...DNS_WORDS],
    read(input) {
      const words = new Int32Array(Math.max(ENTRY.words, Math.ceil(input.length / 4)));
      const bytes = Buffer.from(words.buffer);
      input.copy(bytes);
      // The parts that a search would hardly find by chance: the entry fills the span, and is a query.
      words[ENTRY.length] = words.length;
      words[ENTRY.kind] = 1;
      const span = { words, bytes, from: 0, to: words.length };
      demand(countEntries(span) === 1, "another number of entries");
      for (const row of new EntryReader(new TextTable()).rows(span)) decodeRow(storedRowOf(row));
    },
  },
};

function messagesOf(chunks: readonly Buffer[]): readonly Uint8Array[] {
  const framer = new MessageFramer();
  const messages: Uint8Array[] = [];
  for (const chunk of chunks) {
    framer.push(chunk);
    for (let next = framer.next(); typeof next !== "string"; next = framer.next()) messages.push(frame(next));
  }
  return messages;
}

function demand(holds: boolean, law: string): asserts holds {
  if (!holds) throw new Error(law);
}

/** Takes all that is written, and has the methods of a socket that a session calls. */
class SilentSocket extends Duplex {
  setNoDelay(): this {
    return this;
  }

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}
