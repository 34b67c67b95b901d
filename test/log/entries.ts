import { nameFromText } from "../../src/dns/name.ts";
import { RCODE, typeNumber } from "../../src/dns/types.ts";
import type { QueryFeed } from "../../src/log/feed.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import {
  ATTEMPT_TRANSPORTS,
  ENTRY,
  EXTRA,
  FLAGS,
  HTTP_VERSIONS,
  KIND,
  METHODS,
  SOURCES,
  TRANSPORTS,
} from "../../src/log/ring.ts";
import { wallMsOf } from "../../src/log/schema.ts";
import { question, responseWire, zone } from "../dns/zone.ts";

/** Writes records into a feed, each as an entry of a query that leaves it. @returns for how many there was room. */
export function append(feed: QueryFeed, records: readonly QueryRecord[]): number {
  let written = 0;
  for (const record of records) {
    if (!writeEntry(feed, record)) continue;
    feed.published();
    written++;
  }
  return written;
}

/** Of the edits only texts, of attempts only good ones. @returns whether there was room. */
function writeEntry({ ring, texts }: QueryFeed, record: QueryRecord): boolean {
  const name = nameFromText(record.name) ?? "";
  const reply = record.rcode === null ? Buffer.alloc(0) : replyOf(record);
  const extras = [
    ...record.attempts.flatMap((attempt) => [
      EXTRA.attempt | (ATTEMPT_TRANSPORTS.indexOf(attempt.transport) << 8) | (rcodeOf(attempt.rcode) << 16),
      texts.numberOf(attempt.group),
      texts.numberOf(attempt.server),
      texts.numberOf(attempt.failure),
      attempt.ms * 1000,
      attempt.startMs,
    ]),
    ...record.edits.flatMap((edit) => [EXTRA.edit, texts.numberOf(edit)]),
  ];
  const parts = [name, record.client, record.clientId ?? ""].map((text) => Buffer.from(text, "latin1"));
  const bytes = Buffer.concat([...parts, reply]);
  const [nameBytes = 0, clientBytes = 0, idBytes = 0] = parts.map(({ length }) => length);
  const words = new Map<number, number>([
    [ENTRY.kind, KIND.query],
    [ENTRY.idHigh, record.id / 2 ** 32],
    [ENTRY.idLow, record.id],
    [ENTRY.lagMs, wallMsOf(record.id) - Date.parse(record.time)],
    [ENTRY.durationUs, record.durationUs],
    [
      ENTRY.flags,
      (TRANSPORTS.indexOf(record.transport) << FLAGS.transport.shift) |
        (HTTP_VERSIONS.indexOf(record.http) << FLAGS.http.shift) |
        (METHODS.indexOf(record.method) << FLAGS.method.shift) |
        (SOURCES.indexOf(record.source) << FLAGS.source.shift) |
        (record.rcode === null ? 0 : FLAGS.sent) |
        (record.negativeTtl === null ? 0 : FLAGS.negative) |
        (record.type === "" ? 0 : FLAGS.question),
    ],
    [ENTRY.type, typeNumber(record.type) ?? 0],
    [ENTRY.action, texts.numberOf(record.action)],
    [ENTRY.rule, texts.numberOf(record.rule)],
    [ENTRY.list, texts.numberOf(record.list)],
    [ENTRY.line, record.line ?? -1],
    [ENTRY.route, texts.numberOf(record.route)],
    [ENTRY.version, texts.numberOf(record.version)],
    [ENTRY.nameAndClientBytes, nameBytes | (clientBytes << 16)],
    [ENTRY.clientIdBytesAndExtraWords, idBytes | (extras.length << 16)],
    [ENTRY.replyBytes, reply.length],
    [ENTRY.repeatSerial, 0],
    [ENTRY.clientSerial, 0],
  ]);
  const length = (ENTRY.words + extras.length + Math.ceil(bytes.length / 4) + 1) & ~1;
  const at = ring.reserve(length);
  if (at < 0) return false;
  ring.words[at + ENTRY.length] = length;
  for (const [place, value] of words) ring.words[at + place] = value;
  ring.words.set(extras, at + ENTRY.words);
  ring.bytes.set(bytes, (at + ENTRY.words + extras.length) * 4);
  ring.publish(length);
  return true;
}

function replyOf({ name, type, rcode, answers, negativeTtl }: QueryRecord): Buffer {
  const authority = negativeTtl === null ? [] : [`${name} ${negativeTtl} SOA ns. host. 1 2 3 4 ${negativeTtl}`];
  return responseWire({
    rcode: rcodeOf(rcode),
    questions: type === "" ? [] : [question(name, type)],
    answers: zone(...answers.map((answer) => `${name} ${answer}`)),
    authority: zone(...authority),
  });
}

function rcodeOf(text: string | null): number {
  if (text === null) return 0xffff;
  const known: Readonly<Record<string, number>> = RCODE;
  return known[text] ?? 0;
}
