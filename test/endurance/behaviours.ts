import { RCODE } from "../../src/dns/types.ts";
import { deny } from "../support/zone-script.ts";
import { cutShort, rcode, silence, truncated, wrongId, wrongQuestion } from "../upstreams/messages.ts";
import type { Action, Asked, Script } from "../upstreams/scripted-server.ts";
import { addressOf } from "./household.ts";
import { inOrder } from "./world.ts";

/** An address that no name has: an answer with it is a forged or a mistaken one. */
const FOREIGN = "203.0.113.66";

const http = (status: number, headers: Readonly<Record<string, string>> = {}): Action => ({
  kind: "http",
  status,
  headers,
  body: Buffer.from("no"),
});

/** On HTTPS an answer of HTTP itself; elsewhere silence. */
const overHttps = (action: Action) => (asked: Asked) => (asked.transport === "https" ? action : silence);

/** Does so for every n-th question alone. */
const nth =
  (n: number, script: Script): Script =>
  (asked) =>
    asked.serial % n === 0 ? inOrder(asked) : script(asked);

const message = (asked: Asked): Uint8Array => {
  const action = inOrder(asked);
  return action.kind === "reply" ? action.message : new Uint8Array();
};

/** What upstreams do to those who ask them. */
export const BEHAVIOURS: Readonly<Record<string, Script>> = {
  "in order": inOrder,
  silent: () => silence,
  "silent to nine of ten": nth(10, () => silence),
  "late by 2 s": (asked) => ({ kind: "after", delayMs: 2000, action: inOrder(asked) }),
  "late by 6 s": (asked) => ({ kind: "after", delayMs: 6000, action: inOrder(asked) }),
  SERVFAIL: (asked) => rcode(asked, RCODE.SERVFAIL),
  REFUSED: (asked) => rcode(asked, RCODE.REFUSED),
  "FORMERR to EDNS": (asked) => (asked.query.edns === null ? inOrder(asked) : rcode(asked, RCODE.FORMERR)),
  // Over HTTPS the stream ties the answer to its question, and the id says nothing.
  "another id": (asked) => (asked.transport === "https" ? silence : wrongId(asked, FOREIGN)),
  "another id before the answer": (asked) =>
    asked.transport === "https" ? inOrder(asked) : { kind: "all", actions: [wrongId(asked, FOREIGN), inOrder(asked)] },
  "another question": (asked) => wrongQuestion(asked, FOREIGN),
  "another owner in the answer": (asked) => ({
    kind: "reply",
    message: withOtherOwner(message(asked)),
  }),
  "a message cut short": (asked) => cutShort(asked, addressOf(asked.name)),
  "truncated, over TCP too": (asked) => truncated(asked),
  "truncated over UDP": (asked) => (asked.transport === "udp" ? truncated(asked) : inOrder(asked)),
  "bytes that are no DNS": () => ({ kind: "unframed", message: Buffer.from("HTTP/1.1 200 OK\r\n\r\n") }),
  "closes instead of answering": () => ({ kind: "close" }),
  "closes in the middle of the answer": (asked) => ({ kind: "closeMidway", message: message(asked) }),
  "every answer twice": (asked) => ({ kind: "all", actions: [inOrder(asked), inOrder(asked)] }),
  "status 429": overHttps(http(429, { "retry-after": "1" })),
  "status 429 to nine of ten": nth(10, overHttps(http(429, { "retry-after": "1" }))),
  "status 500": overHttps(http(500)),
  "a page of HTML": overHttps(http(200, { "content-type": "text/html" })),
  REFUSED_STREAM: overHttps({ kind: "refuseStream" }),
  GOAWAY: overHttps({ kind: "goaway", lastStreamId: 1 }),
  "NXDOMAIN for AAAA alone": (asked) => (asked.type === 28 ? deny(asked) : inOrder(asked)),
  "trailing bytes": (asked) => ({ kind: "reply", message: Buffer.concat([message(asked), Buffer.from("trailing")]) }),
};

/** The same answer, whose record belongs to another name, with an address that must not be believed. */
function withOtherOwner(wire: Uint8Array): Uint8Array {
  const copy = Buffer.from(wire);
  // The record's owner is a pointer to the question: it leads to the name's second label now.
  const owner = copy.indexOf(Buffer.of(0xc0, 0x0c));
  if (owner > 0) copy[owner + 1] = 0x0c + 1 + (copy[12] ?? 0);
  return copy;
}
