import { queryWire } from "../support/message.ts";
import { leaveOneRecord, refused } from "./endings.ts";

leaveOneRecord([
  {
    what: "a client from outside",
    ask: (site) => site.ask("page.example", "A", { client: "203.0.113.9" }),
    record: {
      ...refused,
      client: "203.0.113.9",
      transport: "doh",
      http: "1.1",
      method: "POST",
      action: "access",
      ede: ["18 (Prohibited)"],
      trace: [],
    },
  },
  {
    what: "a client over its rate, on a stream",
    yaml: "access: { rateLimit: { perSecond: 1, burst: 1, exempt: [] } }",
    before: (site) => site.ask("page.example"),
    ask: (site) => site.ask("page.example", "A", { transport: "tcp" }),
    record: { ...refused, transport: "tcp", action: "rate", ede: ["18 (Prohibited): over the rate limit"] },
  },
  {
    what: "a client over its rate, over UDP",
    yaml: "access: { rateLimit: { perSecond: 1, burst: 1, exempt: [] } }",
    before: (site) => site.ask("page.example"),
    ask: (site) => site.ask("page.example"),
    record: { ...refused, rcode: "NOERROR", action: "rate", edits: ["truncated"] },
  },
  {
    what: "bytes that are no question",
    ask: (site) => site.send(Buffer.from("000701000002000000000000", "hex")),
    record: { ...refused, name: "", type: "", rcode: "FORMERR", action: "malformed", size: 12, trace: [] },
  },
  {
    what: "another opcode",
    ask: (site) => site.send(queryWire("page.example", "SOA", { edns: null }).fill(0x20, 2, 3)),
    record: { ...refused, type: "SOA", rcode: "NOTIMP", action: "unsupported" },
  },
  {
    what: "a version of EDNS that is not there",
    ask: async (site) => {
      const message = queryWire("page.example", "A");
      // The version is the second byte of the TTL of OPT, which ends in two bytes of flags and two of length.
      message[message.length - 5] = 1;
      await site.send(message);
    },
    record: { ...refused, rcode: "BADVERS", action: "unsupported" },
  },
  {
    what: "a zone transfer",
    ask: (site) => site.ask("page.example", "AXFR", { transport: "tcp" }),
    record: { ...refused, transport: "tcp", type: "AXFR", action: "unsupported" },
  },
]);
