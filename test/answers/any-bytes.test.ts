import fc from "fast-check";
import { expect, test } from "vitest";
import { queryWire, readReply } from "../support/message.ts";
import { runs } from "../support/properties.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const good = queryWire("Page.Example", "A", { do: true });

/** Bytes of any kind, and queries with some bytes changed, added or cut off. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc
    .record({
      changes: fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
      more: fc.uint8Array({ maxLength: 12 }),
      length: fc.integer({ min: 12, max: good.length + 12 }),
    })
    .map(({ changes, more, length }) => {
      const wire = Uint8Array.from([...good, ...more]);
      for (const [at, byte] of changes) wire[at] = byte;
      return wire.subarray(0, length);
    }),
);

test("any bytes get a readable reply with their id, or 400 where they are no question; and the server goes on", async () => {
  const site = await siteWith({ upstreams: { main: honest("page.example A 192.0.2.7") } });
  await fc.assert(
    fc.asyncProperty(bytes, async (message) => {
      const isQuestion = message.length >= 12 && ((message[2] ?? 0) & 0x80) === 0;
      const outcome = await site.send(message, "doh").catch((error: unknown) => error);
      if (!isQuestion) {
        expect(outcome).toMatchObject({ message: "status 400" });
        return;
      }
      if (!(outcome instanceof Uint8Array)) throw new Error("no reply");
      const reply = readReply(outcome);
      expect(reply.id).toBe((message[0] ?? 0) * 256 + (message[1] ?? 0));
      expect(reply.flags).toMatch(/^qr .*ra/);
      expect(["NOERROR", "FORMERR", "NXDOMAIN", "NOTIMP", "REFUSED", "BADVERS"]).toContain(reply.rcode);
    }),
    { numRuns: runs(300) },
  );
  expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  expect(site.log.join("")).not.toContain("fault");
});
