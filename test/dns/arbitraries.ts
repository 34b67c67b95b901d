import fc from "fast-check";
import type { EdnsOption } from "../../src/dns/edns.ts";
import type { Message, ResourceRecord } from "../../src/dns/message.ts";
import { type Name, nameOfLabels, ROOT } from "../../src/dns/name.ts";
import type { Rdata } from "../../src/dns/rdata.ts";
import type { SvcParam } from "../../src/dns/svcb.ts";
import { TYPE } from "../../src/dns/types.ts";

export const uint8 = fc.integer({ min: 0, max: 0xff });
export const uint16 = fc.integer({ min: 0, max: 0xffff });
export const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });

/** Strings of one character (0 to 255) an byte. */
export function byteText(minLength: number, maxLength: number): fc.Arbitrary<string> {
  return fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes).toString("latin1"));
}

const hostLabel = fc.constantFrom("a", "b", "www", "page", "example", "com", "xn--fiq228c", "_dns", "x".repeat(63));

/** Labels of any bytes: dots, zeros, high bytes and letters of both cases among them. */
export const label = fc.oneof(hostLabel, byteText(1, 63), fc.constantFrom(".", "\0", "A.B", "\xe9", "@", "\\", '"', " "));

export const labels: fc.Arbitrary<string[]> = fc
  .array(label, { maxLength: 12 })
  .map((all) => (all.join("").length + all.length < 255 ? all : all.slice(0, 3)));

export const name: fc.Arbitrary<Name> = labels.map((all) => nameOfLabels(all) ?? ROOT);

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
const ipv6 = fc.oneof(
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  ipv4.map((bytes) => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...bytes)),
  fc.constant(new Uint8Array(16)),
);
const bytes = fc.uint8Array({ maxLength: 40 });
const types = fc
  .uniqueArray(fc.oneof(fc.constantFrom(...Object.values(TYPE)), uint16), { maxLength: 12 })
  .map((all) => all.sort((a, b) => a - b));
const strings = fc.array(byteText(0, 255), { minLength: 1, maxLength: 4 });

const numbersValue = (numbers: readonly number[]) => Uint8Array.from(numbers.flatMap((number) => [number >> 8, number & 255]));
const alpnValue = fc
  .array(byteText(1, 20), { minLength: 1, maxLength: 4 })
  .map((all) => Uint8Array.from(Buffer.from(all.map((item) => String.fromCharCode(item.length) + item).join(""), "latin1")));
const multipleOf = (unit: number) =>
  fc.integer({ min: 1, max: 4 }).chain((count) => fc.uint8Array({ minLength: unit * count, maxLength: unit * count }));
const svcValues: Record<number, fc.Arbitrary<Uint8Array>> = {
  1: alpnValue,
  3: multipleOf(2).map((value) => value.slice(0, 2)),
  4: multipleOf(4),
  5: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  6: multipleOf(16),
  7: fc.string({ maxLength: 20, unit: "grapheme" }).map((text) => new Uint8Array(Buffer.from(text))),
  8: fc.constant(new Uint8Array()),
  9: fc.uniqueArray(uint16, { minLength: 1, maxLength: 5 }).map(numbersValue),
  10: bytes,
  667: bytes,
  65535: bytes,
};

/** Parameters that a zone file may have: ascending, faultless, consistent with each other. */
export const svcParams: fc.Arbitrary<SvcParam[]> = fc
  .subarray(Object.keys(svcValues).map(Number))
  .chain((keys) => fc.tuple(...keys.map((key) => (svcValues[key] ?? bytes).map((value) => ({ key, value })))))
  .chain((params) =>
    fc
      .record({ noDefaultAlpn: fc.boolean(), mandatory: fc.subarray(params.map(({ key }) => key)) })
      .map(({ noDefaultAlpn, mandatory }) => [
        ...(mandatory.length > 0 ? [{ key: 0, value: numbersValue(mandatory) }] : []),
        ...params.filter(({ key }) => key === 1),
        ...(noDefaultAlpn && params[0]?.key === 1 ? [{ key: 2, value: new Uint8Array() }] : []),
        ...params.filter(({ key }) => key > 1),
      ]),
  );

type DataArbitraries = { [K in Exclude<Rdata["kind"], "opaque">]: fc.Arbitrary<Omit<Extract<Rdata, { kind: K }>, "kind">> };

const oneName = fc.record({ name });
const hex = fc.uint8Array({ minLength: 1, maxLength: 40 });
const delegation = fc.record({ keyTag: uint16, algorithm: uint8, digestType: uint8, digest: hex });
const publicKey = fc.record({ flags: uint16, protocol: uint8, algorithm: uint8, key: bytes });
const hashing = { algorithm: uint8, flags: uint8, iterations: uint16, salt: bytes };
const binding = fc.record({ priority: uint16, target: name, params: svcParams });

/** One arbitrary for every type that has fields: the compiler asks for those that are missing. */
const dataArbitraries: DataArbitraries = {
  A: fc.record({ address: ipv4 }),
  NS: oneName,
  CNAME: oneName,
  SOA: fc.record({
    primary: name,
    mailbox: name,
    serial: uint32,
    refreshSeconds: uint32,
    retrySeconds: uint32,
    expireSeconds: uint32,
    minimumSeconds: uint32,
  }),
  PTR: oneName,
  HINFO: fc.record({ cpu: byteText(0, 255), os: byteText(0, 255) }),
  MX: fc.record({ preference: uint16, exchange: name }),
  TXT: fc.record({ strings }),
  RP: fc.record({ mailbox: name, text: name }),
  AFSDB: fc.record({ subtype: uint16, hostname: name }),
  AAAA: fc.record({ address: ipv6 }),
  SRV: fc.record({ priority: uint16, weight: uint16, port: uint16, target: name }),
  NAPTR: fc.record({
    order: uint16,
    preference: uint16,
    flags: byteText(0, 4),
    services: byteText(0, 20),
    regexp: byteText(0, 255),
    replacement: name,
  }),
  DNAME: oneName,
  DS: delegation,
  SSHFP: fc.record({ algorithm: uint8, fingerprintType: uint8, fingerprint: bytes }),
  RRSIG: fc.record({
    covered: uint16,
    algorithm: uint8,
    labels: uint8,
    originalTtlSeconds: uint32,
    expiration: uint32,
    inception: uint32,
    keyTag: uint16,
    signer: name,
    signature: bytes,
  }),
  NSEC: fc.record({ next: name, types }),
  DNSKEY: publicKey,
  NSEC3: fc.record({ ...hashing, next: hex, types }),
  NSEC3PARAM: fc.record(hashing),
  TLSA: fc.record({ usage: uint8, selector: uint8, matching: uint8, certificate: bytes }),
  CDS: delegation,
  CDNSKEY: publicKey,
  SVCB: binding,
  HTTPS: binding,
  SPF: fc.record({ strings }),
  URI: fc.record({ priority: uint16, weight: uint16, target: byteText(0, 80) }),
  CAA: fc.record({ flags: uint8, tag: fc.constantFrom("issue", "issuewild", "iodef", "X9"), value: byteText(0, 80) }),
};

/** Every kind of data, with its type number. */
export const typedData: { readonly kind: string; readonly arbitrary: fc.Arbitrary<{ type: number; data: Rdata }> }[] =
  Object.entries(dataArbitraries).map(([kind, arbitrary]) => ({
    kind,
    // The table above pairs each kind with its own fields, which Object.entries forgets.
    arbitrary: (arbitrary as fc.Arbitrary<object>).map((fields) => ({
      type: TYPE[kind as keyof typeof TYPE],
      data: { kind, ...fields } as Rdata,
    })),
  }));

/** Types without a format of their own here. */
const unknownData = fc
  .record({ type: fc.constantFrom(TYPE.CERT, TYPE.APL, 65_280, 0), bytes })
  .map((made) => ({ type: made.type, data: { kind: "opaque", bytes: made.bytes, note: null } as const }));

export const record: fc.Arbitrary<ResourceRecord> = fc
  .record({
    owner: name,
    class: fc.constantFrom(1, 3, 4, 254, 255, 4711),
    ttlSeconds: fc.integer({ min: 0, max: 0x7fff_ffff }),
    body: fc.oneof(unknownData, ...typedData.map(({ arbitrary }) => arbitrary)),
  })
  .map(({ body, ...rest }) => ({ ...rest, ...body }));

/** Options that are known, others, and bytes that do not fit the code. */
const ednsOption: fc.Arbitrary<EdnsOption> = fc.record({
  code: fc.oneof(fc.constantFrom(3, 8, 9, 10, 11, 12, 15), uint16),
  data: fc.oneof(
    bytes,
    fc.constantFrom(Uint8Array.of(0, 1, 24, 0, 192, 0, 2), Uint8Array.from(Buffer.from("\0\x0fads")), new Uint8Array(8)),
  ),
});

const edns = fc.record({
  udpPayloadBytes: uint16,
  version: uint8,
  dnssecOk: fc.boolean(),
  otherFlags: fc.integer({ min: 0, max: 0x7fff }),
  options: fc.array(ednsOption, { maxLength: 5 }),
});

const section = fc.array(record, { maxLength: 5 });

/** Whole messages of every kind, queries with records in them included. */
export const message: fc.Arbitrary<Message> = fc
  .record({
    id: uint16,
    response: fc.boolean(),
    opcode: fc.integer({ min: 0, max: 15 }),
    authoritative: fc.boolean(),
    truncated: fc.boolean(),
    recursionDesired: fc.boolean(),
    recursionAvailable: fc.boolean(),
    authenticData: fc.boolean(),
    checkingDisabled: fc.boolean(),
    rcode: fc.integer({ min: 0, max: 0xfff }),
    edns: fc.oneof(edns, fc.constant(null)),
    questions: fc.array(fc.record({ name, type: uint16, class: uint16 }), { maxLength: 3 }),
    answers: section,
    authority: section,
    additional: section,
  })
  .map((made) => ({ ...made, rcode: made.edns === null ? made.rcode & 15 : made.rcode }));
