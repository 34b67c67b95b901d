import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EdnsOption } from "../../src/dns/edns.ts";
import type { Message, MessageEdns } from "../../src/dns/message.ts";
import { isRejection, parseQuery, type Query, type Rejection } from "../../src/dns/query.ts";
import { CLASS, OPCODE, RCODE, TYPE } from "../../src/dns/types.ts";
import { encodeMessage } from "../support/encode.ts";
import { runs } from "../support/properties.ts";
import { message as anyMessage } from "./arbitraries.ts";
import { blankQuery, nameOf, question, subnetOption, zone } from "./zone.ts";

const edns: MessageEdns = { udpPayloadBytes: 1400, version: 0, dnssecOk: false, otherFlags: 0, options: [] };

function wireOf(parts: Partial<Message>): Buffer {
  return encodeMessage({ ...blankQuery, id: 0x1234, questions: [question("page.example", "AAAA")], ...parts });
}

function accepted(wire: Uint8Array): Query {
  const parsed = parseQuery(wire);
  if (parsed === null || isRejection(parsed)) throw new Error(`not accepted: ${JSON.stringify(parsed)}`);
  return parsed;
}

function rejected(wire: Uint8Array): Rejection {
  const parsed = parseQuery(wire);
  if (parsed === null || !isRejection(parsed)) throw new Error("not rejected");
  return parsed;
}

function withOption(option: EdnsOption): Buffer {
  return wireOf({ edns: { ...edns, options: [option] } });
}

/** An ECS option with these bytes. */
function withSubnet(...bytes: number[]): Buffer {
  return withOption({ code: 8, data: Uint8Array.from(bytes) });
}

describe("a plain query", () => {
  test("gives its id, name, type, class and flags", () => {
    expect(accepted(wireOf({}))).toMatchObject({
      id: 0x1234,
      name: nameOf("page.example"),
      type: TYPE.AAAA,
      class: CLASS.IN,
      recursionDesired: true,
      authenticData: false,
      checkingDisabled: false,
      dnssecOk: false,
      clientSubnet: null,
      edns: null,
    });
  });

  test("each flag is read by itself", () => {
    const off = { recursionDesired: false, authenticData: false, checkingDisabled: false };
    for (const flag of ["recursionDesired", "authenticData", "checkingDisabled"] as const)
      expect(accepted(wireOf({ ...off, [flag]: true }))).toMatchObject({ ...off, [flag]: true });
  });

  test("the question is kept with its letter case, the name without it", () => {
    const wire = wireOf({});
    wire.write("PaGe", 13, "latin1");
    const query = accepted(wire);
    expect(query.name).toBe(nameOf("page.example"));
    expect(Buffer.from(query.questionWire).toString("latin1")).toBe("\x04PaGe\x07example\0\0\x1c\0\x01");
  });

  test("the root can be asked for", () => {
    expect(accepted(wireOf({ questions: [question(".", "NS")] })).name).toBe("\0");
  });

  test("EDNS gives payload, DO, padding and subnet", () => {
    const options: EdnsOption[] = [
      { code: 12, data: new Uint8Array(9) },
      subnetOption({ family: 1, sourcePrefix: 20, scopePrefix: 0, prefixHex: "c0a810" }),
      { code: 65_001, data: new Uint8Array(3) },
    ];
    const query = accepted(wireOf({ edns: { ...edns, dnssecOk: true, options } }));
    expect(query.edns).toMatchObject({ udpPayloadBytes: 1400, version: 0, dnssecOk: true, padded: true });
    expect(query).toMatchObject({
      dnssecOk: true,
      clientSubnet: { family: 1, sourcePrefix: 20, scopePrefix: 0, prefixHex: "c0a810" },
    });
  });

  test("a payload size below 512 counts as 512 (RFC 6891 §6.2.3)", () => {
    expect(accepted(wireOf({ edns: { ...edns, udpPayloadBytes: 100 } })).edns?.udpPayloadBytes).toBe(512);
  });

  test("other records beside OPT do not matter, before or after it", () => {
    const other = zone("x A 192.0.2.1");
    const wire = wireOf({ additional: other, edns });
    expect(accepted(wire).edns).not.toBeNull();
    const plain = wireOf({});
    const record = wireOf({ additional: other }).subarray(plain.length);
    const opt = wireOf({ edns }).subarray(plain.length);
    const swapped = Buffer.concat([plain, opt, record]);
    swapped[11] = 2;
    expect(accepted(swapped).edns).not.toBeNull();
  });
});

describe("silence", () => {
  test("a message shorter than a header is not answered", () => {
    for (let length = 0; length < 12; length++) expect(parseQuery(wireOf({}).subarray(0, length))).toBeNull();
  });

  test("a response is not answered, whatever else is wrong with it", () => {
    expect(parseQuery(wireOf({ response: true }))).toBeNull();
    expect(parseQuery(wireOf({ response: true, opcode: OPCODE.NOTIFY, questions: [] }))).toBeNull();
  });
});

describe("FORMERR", () => {
  const plain = wireOf({});
  const opt = wireOf({ edns }).subarray(plain.length);
  const withAdditional = (count: number, ...records: Uint8Array[]) => {
    const wire = Buffer.concat([plain, ...records]);
    wire[11] = count;
    return wire;
  };
  const patched = (at: number, ...bytes: number[]) => {
    const wire = Buffer.from(plain);
    wire.set(bytes, at);
    return wire;
  };

  test.each<[string, Uint8Array, "readable" | "unreadable"]>([
    ["no question", wireOf({ questions: [] }), "unreadable"],
    ["two questions", wireOf({ questions: [question("a"), question("b")] }), "unreadable"],
    ["a question announced and missing", plain.subarray(0, 12), "unreadable"],
    ["a question cut off", plain.subarray(0, plain.length - 1), "unreadable"],
    ["a compressed name", patched(12, 0xc0, 12), "unreadable"],
    ["a label of 64 bytes", Buffer.from([...plain.subarray(0, 12), 64, ...Buffer.alloc(64, "a"), 0, 0, 1, 0, 1]), "unreadable"],
    [
      "a name of 256 bytes",
      Buffer.concat([
        plain.subarray(0, 12),
        ...Array.from({ length: 127 }, () => Buffer.from("\x01a")),
        Buffer.from([1, 97, 0, 0, 1, 0, 1]),
      ]),
      "unreadable",
    ],
    ["bytes after the question", Buffer.concat([plain, Uint8Array.of(0)]), "readable"],
    ["bytes after OPT", Buffer.concat([withAdditional(1, opt), Uint8Array.of(0)]), "readable"],
    ["a record announced and missing", withAdditional(1), "readable"],
    ["an answer announced and missing", patched(7, 1), "readable"],
    ["OPT cut off", withAdditional(1, opt.subarray(0, -1)), "readable"],
    ["two OPT records", withAdditional(2, opt, opt), "readable"],
    ["OPT with an owner", withAdditional(1, Uint8Array.of(1, 97), opt), "readable"],
    ["OPT owned by a pointer to a root", withAdditional(1, Uint8Array.of(0xc0, 25), opt.subarray(1)), "readable"],
    ["OPT in the answer section", Buffer.from(withAdditional(0, opt)).fill(1, 7, 8), "readable"],
    ["OPT in the authority section", Buffer.from(withAdditional(0, opt)).fill(1, 9, 10), "readable"],
    ["an option cut off", withOption({ code: null, data: Uint8Array.of(0, 12, 0, 4, 0) }), "readable"],
    ["an option without length", withOption({ code: null, data: Uint8Array.of(0, 12, 0) }), "readable"],
    ["type 0", wireOf({ questions: [{ ...question("a"), type: 0 }] }), "readable"],
    ["type OPT", wireOf({ questions: [{ ...question("a"), type: TYPE.OPT }] }), "readable"],
    ["type TSIG", wireOf({ questions: [{ ...question("a"), type: TYPE.TSIG }] }), "readable"],
    ["class 0", wireOf({ questions: [{ ...question("a"), class: 0 }] }), "readable"],
    ["class NONE", wireOf({ questions: [{ ...question("a"), class: CLASS.NONE }] }), "readable"],
    ["a subnet of an unknown family", withSubnet(0, 3, 24, 0, 192, 0, 2), "readable"],
    ["a subnet of no family with an address", withSubnet(0, 0, 24, 0, 192, 0, 2), "readable"],
    ["a subnet with bytes beyond its prefix", withSubnet(0, 1, 24, 0, 192, 0, 2, 7), "readable"],
    ["a subnet with bits beyond its prefix", withSubnet(0, 1, 20, 0, 192, 0, 1), "readable"],
    ["a subnet shorter than its prefix", withSubnet(0, 1, 24, 0, 192, 0), "readable"],
    ["an IPv4 subnet of 33 bits", withSubnet(0, 1, 33, 0, 192, 0, 2, 1, 0), "readable"],
    ["an IPv6 subnet of 129 bits", withSubnet(0, 2, 129, 0, ...Buffer.alloc(17)), "readable"],
    ["a subnet with a scope beyond its family", withSubnet(0, 1, 24, 33, 192, 0, 2), "readable"],
    ["a subnet of three bytes", withSubnet(0, 1, 0), "readable"],
  ])("%s", (_, wire, questionState) => {
    const rejection = rejected(wire);
    expect(rejection).toMatchObject({ rejected: RCODE.FORMERR, id: 0x1234, opcode: OPCODE.QUERY, recursionDesired: true });
    expect(rejection.questionWire === null).toBe(questionState === "unreadable");
  });
});

describe("subnets that are well formed", () => {
  test.each([
    [[0, 1, 0, 0], { family: 1, sourcePrefix: 0, prefixHex: "" }],
    [[0, 1, 32, 0, 192, 0, 2, 7], { family: 1, sourcePrefix: 32, prefixHex: "c0000207" }],
    [[0, 1, 25, 0, 192, 0, 2, 128], { family: 1, sourcePrefix: 25, prefixHex: "c0000280" }],
    [[0, 2, 56, 0, 32, 1, 13, 184, 0, 0, 1], { family: 2, sourcePrefix: 56, prefixHex: "20010db8000001" }],
  ])("%j", (bytes, subnet) => {
    expect(accepted(withSubnet(...bytes)).clientSubnet).toEqual({ scopePrefix: 0, ...subnet });
  });

  test("family 0 means no subnet", () => {
    expect(accepted(withSubnet(0, 0, 0, 0)).clientSubnet).toEqual({ family: 1, sourcePrefix: 0, scopePrefix: 0, prefixHex: "" });
  });
});

describe("other refusals", () => {
  test.each([1, 2, 3, 4, 5, 6, 15])("opcode %i is NOTIMP, with opcode and question echoed", (opcode) => {
    const wire = wireOf({ opcode, checkingDisabled: true });
    expect(rejected(wire)).toMatchObject({
      rejected: RCODE.NOTIMP,
      opcode,
      checkingDisabled: true,
      questionWire: wire.subarray(12),
    });
  });

  test("NOTIMP to a sender of OPT carries OPT (RFC 6891 §6.1.1)", () => {
    expect(rejected(wireOf({ opcode: OPCODE.NOTIFY, edns })).edns).toMatchObject({ udpPayloadBytes: 1400 });
    expect(rejected(wireOf({ opcode: OPCODE.NOTIFY })).edns).toBeNull();
  });

  test("an opcode whose messages have another layout is NOTIMP too", () => {
    expect(rejected(wireOf({ opcode: OPCODE.DSO, questions: [] }))).toMatchObject({ rejected: RCODE.NOTIMP, questionWire: null });
    const update = wireOf({ opcode: OPCODE.UPDATE, authority: zone("x A 192.0.2.1") });
    expect(rejected(update)).toMatchObject({ rejected: RCODE.NOTIMP });
  });

  test("another EDNS version is BADVERS, although its options make no sense to us (RFC 6891 §6.1.3)", () => {
    const wire = wireOf({ edns: { ...edns, version: 1 } });
    const rest = Uint8Array.of(0, 8, 0, 3, 1, 2, 3);
    wire[wire.length - 1] = rest.length;
    expect(rejected(Buffer.concat([wire, rest]))).toMatchObject({ rejected: RCODE.BADVERS, edns: { version: 1 } });
  });

  test("another EDNS version is BADVERS, whatever the question", () => {
    const wire = wireOf({ edns: { ...edns, version: 1 }, questions: [question("a", "AXFR")] });
    expect(rejected(wire)).toMatchObject({ rejected: RCODE.BADVERS, edns: { version: 1 } });
  });

  test.each(["AXFR", "IXFR"])("%s is REFUSED, with OPT for those who sent one", (type) => {
    expect(rejected(wireOf({ edns, questions: [question("a", type)] }))).toMatchObject({ rejected: RCODE.REFUSED, edns: {} });
  });

  test.each(["TKEY", "MAILA", "MAILB"])("%s is NOTIMP", (type) => {
    expect(rejected(wireOf({ questions: [question("a", type)] })).rejected).toBe(RCODE.NOTIMP);
  });
});

describe("any bytes", () => {
  test("never throw, and every message with a header gets a reply", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const parsed = parseQuery(bytes);
        expect(parsed === null).toBe(bytes.length < 12 || ((bytes[2] ?? 0) & 0x80) !== 0);
      }),
      { numRuns: runs(2000) },
    );
  });

  test("mutated queries and cut tails never throw, and give a question only where there is one", () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(anyMessage, mutations, fc.nat(), (made, changes, cut) => {
        const wire = encodeMessage({ ...made, response: false, opcode: 0, questions: [question("page.example")] });
        for (const [at, byte] of changes) wire[at % wire.length] = byte;
        const parsed = parseQuery(wire.subarray(0, wire.length - (cut % 3 === 0 ? cut % wire.length : 0)));
        if (parsed !== null && !isRejection(parsed)) expect(parsed.questionWire.length).toBe(parsed.name.length + 4);
      }),
      { numRuns: runs(1000) },
    );
  });
});
