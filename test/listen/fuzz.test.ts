import fc from "fast-check";
import { expect, test } from "vitest";
import { frame } from "../../src/dns/wire.ts";
import { runs } from "../support/properties.ts";
import { connectRaw, connectRawTls } from "./support/raw.ts";
import { messageOf, openSite, portOf } from "./support/site.ts";

const text = (value: string) => Buffer.from(value, "latin1");

/** Beginnings that lead into the depths of each protocol. */
const START = fc.constantFrom(
  Buffer.alloc(0),
  Buffer.from(frame(messageOf(1))),
  text("GET /dns-query?dns="),
  text("GET /dns-query HTTP/1.1\r\n"),
  text("POST /dns-query HTTP/1.1\r\nContent-Type: application/dns-message\r\nTransfer-Encoding: chunked\r\n\r\n"),
  text("POST /dns-query HTTP/1.1\r\nContent-Type: application/dns-message\r\nContent-Length: 100\r\n\r\n"),
  text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.concat([text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.from("000000040000000000", "hex")]),
  Buffer.from("16030100c8010000c40303", "hex"),
  text("PROXY TCP4 "),
  text("\r\n\r\n\0\r\nQUIT\n!"),
);
const FUZZ = fc.tuple(START, fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 4 }));

test.each(["dns", "tls", "https", "http"] as const)(
  "any bytes on %s leave the listener working: the next client is answered, and no connection stays open",
  async (kind) => {
    const site = await openSite();
    await fc.assert(
      fc.asyncProperty(FUZZ, fc.boolean(), async ([start, chunks], resets) => {
        const connection = await connectRaw(portOf(site, kind));
        connection.write(start);
        for (const chunk of chunks) connection.write(chunk);
        if (resets) connection.socket.resetAndDestroy();
        else connection.socket.end();
        await Promise.race([connection.ended, new Promise((resolve) => connection.socket.once("finish", resolve))]);
        connection.socket.destroy();
      }),
      { numRuns: runs(150) },
    );
    await expect.poll(() => site.counters.connections).toBe(0);
    const isDns = kind === "dns" || kind === "tls";
    const connection = await (kind === "tls" || kind === "https"
      ? connectRawTls(portOf(site, kind))
      : connectRaw(portOf(site, kind)));
    if (isDns) {
      expect(await connection.write(frame(messageOf(1))).take(42)).toEqual(Buffer.from(frame(messageOf(1))));
    } else {
      connection.write(`GET /dns-query?dns=${Buffer.from(messageOf(1)).toString("base64url")} HTTP/1.1\r\n\r\n`);
      expect(new Uint8Array((await connection.takeResponse()).body)).toEqual(messageOf(1));
    }
  },
);

test("any bytes after a TLS handshake leave the listener working", async () => {
  const site = await openSite();
  await fc.assert(
    fc.asyncProperty(
      FUZZ,
      fc.constantFrom("tls", "https"),
      fc.constantFrom("h2", "http/1.1", null),
      async ([start, chunks], kind, protocol) => {
        const connection = await connectRawTls(
          portOf(site, kind === "tls" ? "tls" : "https"),
          protocol === null || kind === "tls" ? {} : { ALPNProtocols: [protocol] },
        );
        connection.write(start);
        for (const chunk of chunks) connection.write(chunk);
        connection.socket.end();
        await Promise.race([connection.ended, new Promise((resolve) => connection.socket.once("finish", resolve))]);
        connection.socket.destroy();
      },
    ),
    { numRuns: runs(60) },
  );
  await expect.poll(() => site.counters.connections).toBe(0);
});
