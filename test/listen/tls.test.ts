import { once } from "node:events";
import { copyFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { frame } from "../../src/dns/wire.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { openListeners } from "../../src/listen/listeners.ts";
import type { ListenEvent } from "../../src/listen/types.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { NOWHERE } from "../support/nowhere.ts";
import { connectRaw, connectRawTls } from "./support/raw.ts";
import { echo, handlerOf, messageOf, ON_LOOPBACK, openSite, portOf, tlsFixture } from "./support/site.ts";

describe("a handshake", () => {
  test("offers h2, then HTTP/1.1 on https, and dot on tls, and requires none of them", async () => {
    const site = await openSite();
    const chosen = async (kind: "tls" | "https", protocols?: string[]) =>
      (await connectRawTls(portOf(site, kind), protocols === undefined ? {} : { ALPNProtocols: protocols })).socket.alpnProtocol;
    expect(await chosen("https", ["http/1.1", "h2"])).toBe("h2");
    expect(await chosen("https", ["http/1.1"])).toBe("http/1.1");
    expect(await chosen("https", ["http/1.0"])).toBe("http/1.0");
    expect(await chosen("https")).toBe(false);
    expect(await chosen("tls", ["dot"])).toBe("dot");
    expect(await chosen("tls")).toBe(false);
  });

  test("below TLS 1.2 is refused", async () => {
    const site = await openSite();
    const socket = connect({
      port: portOf(site, "tls"),
      host: "127.0.0.1",
      rejectUnauthorized: false,
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    const [error] = await once(socket, "error");
    expect(String(error)).toMatch(/protocol version|unsupported protocol/i);
    await expect.poll(() => site.counters.connections).toBe(0);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("of %s can be resumed", async (version) => {
    const site = await openSite();
    const options = { minVersion: version, maxVersion: version } as const;
    const first = await connectRawTls(portOf(site, "tls"), options);
    let session: Buffer | undefined;
    first.socket.on("session", (ticket: Buffer) => {
      session = ticket;
    });
    await first.write(frame(messageOf(1))).take(42);
    await expect.poll(() => session ?? first.socket.getSession()).toBeDefined();
    const second = await connectRawTls(portOf(site, "tls"), { ...options, session: session ?? first.socket.getSession() });
    expect(second.socket.isSessionReused()).toBe(true);
  });

  test("that never ends is cut after 10 s, and garbage at once", async () => {
    const clock = fakeClock();
    const site = await openSite({ clock });
    const silent = await connectRaw(portOf(site, "tls"));
    await expect.poll(() => site.counters.connections).toBe(1);
    await clock.advance(10_000);
    await silent.ended;
    const garbage = await connectRaw(portOf(site, "https"));
    garbage.write("GET / HTTP/1.1\r\n\r\n");
    await garbage.ended;
    await expect.poll(() => site.counters.connections).toBe(0);
  });
});

describe("certificate files", () => {
  async function siteWithFiles() {
    const directory = await mkdtemp(join(tmpdir(), "fenliu-tls-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    const files = { cert: join(directory, "cert.pem"), key: join(directory, "key.pem"), name: null };
    await copyFile(tlsFixture("cert.pem"), files.cert);
    await copyFile(tlsFixture("key.pem"), files.key);
    const events: ListenEvent[] = [];
    const clock = fakeClock(Date.UTC(2027, 0, 1));
    const listeners = await openListeners(
      {
        listen: { ...NOWHERE, tls: ON_LOOPBACK, https: ON_LOOPBACK },
        tls: files,
        trustedProxies: [],
      },
      echo,
      { clock, report: (event) => events.push(event) },
    );
    onTestFinished(() => listeners.close(0));
    const nameSeen = async (kind: "tls" | "https"): Promise<string> =>
      commonName((await connectRawTls(portOf(listeners, kind))).socket);
    return { files, directory, events, nameSeen, listeners, clock };
  }

  const commonName = (socket: TLSSocket): string => String(socket.getPeerCertificate().subject.CN);

  test("put in place by renaming are used for new connections within 5 s, and old connections live on", async () => {
    const { files, directory, events, nameSeen, listeners, clock } = await siteWithFiles();
    const old = await connectRawTls(portOf(listeners, "tls"));
    expect(await nameSeen("tls")).toBe("localhost");
    for (const [name, target] of [
      ["renewed-key.pem", files.key],
      ["renewed-cert.pem", files.cert],
    ] as const) {
      await copyFile(tlsFixture(name), join(directory, "new"));
      await rename(join(directory, "new"), target);
    }
    await clock.advance(5000);
    await expect.poll(() => events).toEqual([{ kind: "certificateReloaded" }]);
    expect([await nameSeen("tls"), await nameSeen("https")]).toEqual(["renewed.localhost", "renewed.localhost"]);
    expect((await connectRawTls(portOf(listeners, "https"), { ALPNProtocols: ["h2"] })).socket.alpnProtocol).toBe("h2");
    expect(await old.write(frame(messageOf(1))).take(42)).toEqual(Buffer.from(frame(messageOf(1))));
  });

  test("that stay broken are reported once, and the old ones serve until they are repaired", async () => {
    const { files, events, nameSeen, clock } = await siteWithFiles();
    await writeFile(files.cert, "no certificate");
    const later = () => clock.advance(1000).then(() => events);
    await expect.poll(later).toEqual([{ kind: "certificateRefused", reason: expect.stringContaining(files.cert) }]);
    expect(await nameSeen("https")).toBe("localhost");
    await copyFile(tlsFixture("renewed-key.pem"), files.key);
    await copyFile(tlsFixture("renewed-cert.pem"), files.cert);
    await expect.poll(later).toEqual([expect.anything(), { kind: "certificateReloaded" }]);
    expect(await nameSeen("tls")).toBe("renewed.localhost");
  });

  test("that have expired are not taken, and the listeners say so until good ones come", async () => {
    const { files, events, nameSeen, listeners, clock } = await siteWithFiles();
    expect(listeners.certificate()).toEqual({ expiresWallMs: Date.UTC(2126, 9, 28, 12, 51, 15), isLate: false, refusal: null });
    await copyFile(tlsFixture("expired-cert.pem"), files.cert);
    await copyFile(tlsFixture("issued-key.pem"), files.key);
    const refusal = () => clock.advance(1000).then(() => listeners.certificate()?.refusal);
    await expect.poll(refusal).toMatch(/has expired on 2021-01-01/);
    expect(await nameSeen("tls")).toBe("localhost");
    await copyFile(tlsFixture("issued-cert.pem"), files.cert);
    await expect.poll(refusal).toBeNull();
    expect(await nameSeen("https")).toBe("doh.example.com");
    expect(events.map(({ kind }) => kind)).toEqual(["certificateRefused", "certificateDoubtful", "certificateReloaded"]);
  });

  test("are late with their renewal in the last two weeks", async () => {
    const { listeners, clock } = await siteWithFiles();
    const end = listeners.certificate()?.expiresWallMs ?? 0;
    await clock.advance(end - clock.wallMs() - 15 * 86_400_000);
    expect(listeners.certificate()).toMatchObject({ isLate: false });
    await clock.advance(86_400_001);
    expect(listeners.certificate()).toMatchObject({ isLate: true });
  });
});

test("a label before the certificate's name is the client id over DoT and DoH; an id in the path comes before it", async () => {
  const ids: (string | null)[] = [];
  const handler = handlerOf((message, { clientId }) => {
    ids.push(clientId);
    return { wire: message, maxAgeSeconds: null };
  });
  const files = { cert: tlsFixture("issued-cert.pem"), key: tlsFixture("issued-key.pem"), name: null };
  const listeners = await openListeners(
    { listen: { ...NOWHERE, tls: ON_LOOPBACK, https: ON_LOOPBACK }, tls: files, trustedProxies: [] },
    handler,
    { clock: systemClock },
  );
  onTestFinished(() => listeners.close(0));
  const query = Buffer.from(messageOf(1));
  for (const servername of ["doh.example.com", "tv.doh.example.com"]) {
    const dot = await connectRawTls(portOf(listeners, "tls"), { servername });
    await dot.write(frame(query)).take(query.length + 2);
    for (const path of ["/dns-query", "/dns-query/phone"]) {
      const doh = await connectRawTls(portOf(listeners, "https"), { servername });
      const head = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/dns-message\r\ncontent-length: ${query.length}\r\n\r\n`;
      await doh.write(Buffer.concat([Buffer.from(head), query])).take(query.length);
    }
  }
  await expect.poll(() => ids).toEqual([null, null, "phone", "tv", "tv", "phone"]);
});
