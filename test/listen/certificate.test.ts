import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { clientIdOf, readCertificate } from "../../src/listen/certificate.ts";
import { tlsFixture } from "./support/site.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2027, 0, 1);

function read(cert: string, key: string, { name = null, nowWallMs = NOW_MS }: { name?: string | null; nowWallMs?: number } = {}) {
  const files = { cert: tlsFixture(`${cert}.pem`), key: tlsFixture(`${key}.pem`), name };
  return readCertificate({ cert: readFileSync(files.cert), key: readFileSync(files.key) }, files, nowWallMs);
}

describe("a certificate is refused", () => {
  test.each([
    [
      "with the key of another",
      "cert",
      "renewed-key",
      /cert\.pem and .*renewed-key\.pem cannot be used: the key is that of another/,
    ],
    ["after its end", "expired-cert", "issued-key", /expired-cert\.pem has expired on 2021-01-01/],
    ["that is none", "key", "key", /key\.pem cannot be used: it holds no certificate/],
    ["with a key that is none", "cert", "cert", /cert\.pem cannot be used: it holds no private key/],
  ])("%s", (_, cert, key, reason) => {
    expect(() => read(cert, key)).toThrow(reason);
  });
});

describe("a certificate is used with a warning", () => {
  test("without the intermediate that leads to its issuer", () => {
    expect(read("issued-cert", "issued-key").warnings).toEqual([
      expect.stringMatching(/no intermediate certificate: .*\(Fenliu Test Root\).*use fullchain\.pem/),
    ]);
    expect(read("cert", "key").warnings).toEqual([]);
  });

  test("where the name of the server is not among its names", () => {
    expect(read("cert", "key", { name: "localhost" }).warnings).toEqual([]);
    expect(read("cert", "key", { name: "doh.example.com" }).warnings).toEqual([
      expect.stringContaining("is not for doh.example.com"),
    ]);
  });

  test("before its time: the clock may be wrong", () => {
    expect(read("cert", "key", { nowWallMs: Date.UTC(2026, 0, 1) }).warnings).toEqual([expect.stringContaining("the clock")]);
  });
});

test("a renewal is late in the last two weeks", () => {
  const { expiresWallMs, renewalMs } = read("issued-cert", "issued-key");
  expect(new Date(expiresWallMs).toISOString()).toBe("2120-01-01T00:00:00.000Z");
  expect(renewalMs).toBe(14 * DAY_MS);
});

describe("the client id in a server name", () => {
  const certificate = read("issued-cert", "issued-key");

  test.each([
    ["tv.doh.example.com", "tv"],
    ["TV.Doh.Example.COM", "tv"],
    ["doh.example.com", null],
    ["a.tv.doh.example.com", null],
    ["tv_1.doh.example.com", null],
    ["tv.example.com", null],
    ["example.com", null],
    [".doh.example.com", null],
    ["", null],
    [false, null],
    [undefined, null],
  ])("%s: %s", (serverName, id) => {
    expect(clientIdOf(serverName, certificate)).toBe(id);
  });

  test("stands before `tls.name` where a certificate is for a whole domain", () => {
    const named = { names: ["dns.example.com"] };
    expect(clientIdOf("dns.example.com", named)).toBeNull();
    expect(clientIdOf("tv.dns.example.com", named)).toBe("tv");
  });
});
