import { decode, encode, type PacketRecord } from "dns-packet";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeMessage } from "../../src/dns/message.ts";
import { type Name, nameOfLabels, nameText, ROOT } from "../../src/dns/name.ts";
import type { Rdata } from "../../src/dns/rdata.ts";
import { TYPE, typeName, typeNumber } from "../../src/dns/types.ts";
import { uint8, uint16, uint32 } from "./arbitraries.ts";
import { blankResponse, nameOf, question, responseWire } from "./zone.ts";

/*
 * What another implementation, dns-packet 5.6.1, makes of our messages, and we of its own. It is left out where it is not right:
 * - HTTPS and SVCB: it has no format for them, and writes their type as 0;
 * - names with dots, zeros, escapes or bytes above 127 in a label, the mailbox of an SOA among them: it changes them;
 * - texts with bytes above 127, and addresses it shows in another form (IPv4-mapped, compressed zeros), compared as bytes instead;
 * - classes above 32767, whose highest bit it takes for the flush bit of mDNS;
 * - flags of CAA other than the critical one, which it does not write;
 * - EDNS options: it knows few and gives the others as they are.
 */

const label = fc.stringMatching(/^[a-z0-9_][a-z0-9-]{0,12}$/);
const host: fc.Arbitrary<Name> = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => nameOfLabels(labels) ?? ROOT);
const ascii = fc.string({ maxLength: 40 });
const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
const types = fc
  .uniqueArray(fc.constantFrom(TYPE.A, TYPE.NS, TYPE.MX, TYPE.AAAA, TYPE.RRSIG, TYPE.CAA), { minLength: 1 })
  .map((all) => all.sort((a, b) => a - b));

/** The bytes of any view, so that Buffers and Uint8Arrays compare. */
const bufferOf = (view: Uint8Array) => Buffer.from(view);

interface Pair {
  readonly ours: Rdata;
  readonly theirs: unknown;
}

const pairs: Record<string, fc.Arbitrary<Pair>> = {
  A: fc.uint8Array({ minLength: 4, maxLength: 4 }).map((all) => ({ ours: { kind: "A", address: all }, theirs: all.join(".") })),
  NS: host.map((name) => ({ ours: { kind: "NS", name }, theirs: nameText(name) })),
  CNAME: host.map((name) => ({ ours: { kind: "CNAME", name }, theirs: nameText(name) })),
  DNAME: host.map((name) => ({ ours: { kind: "DNAME", name }, theirs: nameText(name) })),
  PTR: host.map((name) => ({ ours: { kind: "PTR", name }, theirs: nameText(name) })),
  MX: fc.record({ preference: uint16, exchange: host }).map((data) => ({
    ours: { kind: "MX", ...data },
    theirs: { preference: data.preference, exchange: nameText(data.exchange) },
  })),
  TXT: fc.array(ascii, { minLength: 1, maxLength: 3 }).map((strings) => ({
    ours: { kind: "TXT", strings },
    theirs: strings.map((string) => Buffer.from(string)),
  })),
  SRV: fc.record({ priority: uint16, weight: uint16, port: uint16, target: host }).map((data) => ({
    ours: { kind: "SRV", ...data },
    theirs: { ...data, target: nameText(data.target) },
  })),
  SOA: fc
    .tuple(host, host, uint32, uint32, uint32, uint32, uint32)
    .map(([primary, mailbox, serial, refresh, retry, expire, minimum]) => ({
      ours: {
        kind: "SOA",
        primary,
        mailbox,
        serial,
        refreshSeconds: refresh,
        retrySeconds: retry,
        expireSeconds: expire,
        minimumSeconds: minimum,
      },
      theirs: { mname: nameText(primary), rname: nameText(mailbox), serial, refresh, retry, expire, minimum },
    })),
  HINFO: fc.record({ cpu: ascii, os: ascii }).map((data) => ({ ours: { kind: "HINFO", ...data }, theirs: data })),
  RP: fc.tuple(host, host).map(([mailbox, text]) => ({
    ours: { kind: "RP", mailbox, text },
    theirs: { mbox: nameText(mailbox), txt: nameText(text) },
  })),
  CAA: fc.record({ flags: fc.constantFrom(0, 128), tag: fc.constantFrom("issue", "iodef"), value: ascii }).map((data) => ({
    ours: { kind: "CAA", ...data },
    theirs: { ...data, issuerCritical: data.flags > 127 },
  })),
  NAPTR: fc
    .record({ order: uint16, preference: uint16, flags: ascii, services: ascii, regexp: ascii, replacement: host })
    .map((data) => ({
      ours: { kind: "NAPTR", ...data },
      theirs: { ...data, replacement: nameText(data.replacement) },
    })),
  DS: fc.record({ keyTag: uint16, algorithm: uint8, digestType: uint8, digest: bytes }).map((data) => ({
    ours: { kind: "DS", ...data },
    theirs: { ...data, digest: bufferOf(data.digest) },
  })),
  DNSKEY: fc.record({ flags: uint16, algorithm: uint8, key: bytes }).map((data) => ({
    ours: { kind: "DNSKEY", protocol: 3, ...data },
    theirs: { ...data, key: bufferOf(data.key) },
  })),
  RRSIG: fc
    .record({ algorithm: uint8, labels: uint8, expiration: uint32, inception: uint32, keyTag: uint16 })
    .chain((fixed) => fc.tuple(fc.constant(fixed), uint32, host, bytes))
    .map(([fixed, ttl, signer, signature]) => ({
      ours: { kind: "RRSIG", covered: TYPE.A, ...fixed, originalTtlSeconds: ttl, signer, signature },
      theirs: { typeCovered: "A", ...fixed, originalTTL: ttl, signersName: nameText(signer), signature: bufferOf(signature) },
    })),
  NSEC: fc.tuple(host, types).map(([next, all]) => ({
    ours: { kind: "NSEC", next, types: all },
    theirs: { nextDomain: nameText(next), rrtypes: all.map(typeName) },
  })),
  NSEC3: fc.record({ algorithm: uint8, flags: uint8, iterations: uint16, salt: bytes, next: bytes, types }).map((data) => ({
    ours: { kind: "NSEC3", ...data },
    theirs: {
      algorithm: data.algorithm,
      flags: data.flags,
      iterations: data.iterations,
      salt: bufferOf(data.salt),
      nextDomain: bufferOf(data.next),
      rrtypes: data.types.map(typeName),
    },
  })),
  TLSA: fc.record({ usage: uint8, selector: uint8, matching: uint8, certificate: bytes }).map((data) => ({
    ours: { kind: "TLSA", ...data },
    theirs: {
      usage: data.usage,
      selector: data.selector,
      matchingType: data.matching,
      certificate: bufferOf(data.certificate),
    },
  })),
  SSHFP: fc.uint8Array({ minLength: 20, maxLength: 20 }).map((fingerprint) => ({
    ours: { kind: "SSHFP", algorithm: 4, fingerprintType: 1, fingerprint },
    theirs: { algorithm: 4, hash: 1, fingerprint: bufferOf(fingerprint).toString("hex").toUpperCase() },
  })),
};

const ttl = fc.integer({ min: 0, max: 0x7fff_ffff });

describe.each(Object.entries(pairs))("%s", (kind, pair) => {
  const type = typeNumber(kind) ?? 0;

  test("dns-packet reads our message the same", () => {
    fc.assert(
      fc.property(host, ttl, fc.array(pair, { minLength: 1, maxLength: 3 }), (owner, ttlSeconds, all) => {
        const answers = all.map(({ ours }) => ({ owner, type, class: 1, ttlSeconds, data: ours }));
        const wire = responseWire({ id: 7, questions: [question(nameText(owner), kind)], answers });
        const expected = all.map(({ theirs }) => ({
          name: nameText(owner),
          type: kind,
          ttl: ttlSeconds,
          class: "IN",
          flush: false,
          data: theirs,
        }));
        expect(decode(wire)).toMatchObject({ id: 7, type: "response", rcode: "NOERROR", answers: expected });
      }),
      { numRuns: 40 },
    );
  });

  test("we read a message of dns-packet the same", () => {
    fc.assert(
      fc.property(host, ttl, fc.array(pair, { minLength: 1, maxLength: 3 }), (owner, ttlSeconds, all) => {
        // It turns strings into Buffers where it finds them, so it gets copies.
        const records = all.map(
          ({ theirs }): PacketRecord => ({ name: nameText(owner), type: kind, ttl: ttlSeconds, data: structuredCloneOf(theirs) }),
        );
        const questions = [{ name: nameText(owner), type: kind, class: "IN" }];
        expect(decodeMessage(encode({ id: 7, type: "response", questions, answers: records }))).toEqual({
          ...blankResponse,
          id: 7,
          recursionDesired: false,
          recursionAvailable: false,
          questions: [question(nameText(owner), kind)],
          answers: all.map(({ ours }) => ({ owner, type, class: 1, ttlSeconds, data: ours })),
        });
      }),
      { numRuns: 40 },
    );
  });
});

/** A copy in which bytes stay Buffers. */
function structuredCloneOf(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(structuredCloneOf);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, structuredCloneOf(inner)]));
}

test("IPv6 addresses are the same bytes to both", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (address) => {
      const hex = bufferOf(address).toString("hex");
      const wire = responseWire({
        answers: [{ owner: nameOf("a"), type: TYPE.AAAA, class: 1, ttlSeconds: 0, data: dataOf(hex) }],
      });
      const [theirs] = decode(wire).answers ?? [];
      const again = encode({ type: "response", answers: [{ name: "a", type: "AAAA", data: theirs?.data }] });
      expect(again.subarray(-16).toString("hex")).toBe(hex);
      expect(decodeMessage(again)?.answers[0]?.data).toEqual(decodeMessage(wire)?.answers[0]?.data);
    }),
  );
});

function dataOf(hex: string): Rdata {
  return { kind: "opaque", bytes: new Uint8Array(Buffer.from(hex, "hex")), note: null };
}

test("every flag, opcode and rcode of a header means the same to both", () => {
  fc.assert(
    fc.property(uint16, uint16, (id, flags) => {
      const wire = responseWire({ id });
      wire.writeUInt16BE(flags & ~0x40, 2);
      const ours = decodeMessage(wire);
      expect(decode(wire)).toMatchObject({
        id,
        flag_qr: ours?.response,
        flag_aa: ours?.authoritative,
        flag_tc: ours?.truncated,
        flag_rd: ours?.recursionDesired,
        flag_ra: ours?.recursionAvailable,
        flag_ad: ours?.authenticData,
        flag_cd: ours?.checkingDisabled,
      });
      expect(ours?.rcode).toBe(flags & 15);
      expect(ours?.opcode).toBe((flags >> 11) & 15);
    }),
  );
});
