import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dig, soleData } from "./clients.ts";
import { type Dnsdist, startDnsdist } from "./dnsdist.ts";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { type Nsd, startNsd } from "./nsd.ts";
import { type ForwardProxy, startMicrosocks, startTinyproxy } from "./proxies.ts";
import { Scene } from "./scene.ts";
import { startUnbound, type Unbound } from "./unbound.ts";

const scene = new Scene();
const NSD = "192.0.2.1";
const UNBOUND = "192.0.2.2";

let nsd: Nsd;
let unbound: Unbound;
let dnsdist: Dnsdist;
let socks: ForwardProxy;
let tinyproxy: ForwardProxy;
let certificate: Awaited<ReturnType<typeof makeCertificate>>;
let fenliu: FenliuProcess;

/** A transport to a server: names below `NAME.example` are sent there. */
interface Way {
  readonly name: string;
  readonly url: () => string;
  readonly expected: string;
  /** Further keys of the server. */
  readonly keys?: string;
}

const ways: readonly Way[] = [
  { name: "udp-nsd", url: () => `udp://127.0.0.1:${nsd.port}`, expected: NSD },
  { name: "udp-unbound", url: () => `udp://127.0.0.1:${unbound.port}`, expected: UNBOUND },
  { name: "udp-dnsdist", url: () => `udp://127.0.0.1:${dnsdist.port}`, expected: NSD },
  { name: "tcp-nsd", url: () => `tcp://localhost:${nsd.port}`, expected: NSD },
  { name: "tcp-unbound", url: () => `tcp://localhost:${unbound.port}`, expected: UNBOUND },
  { name: "tcp-dnsdist", url: () => `tcp://localhost:${dnsdist.port}`, expected: NSD },
  { name: "tls-unbound", url: () => `tls://localhost:${unbound.tlsPort}`, expected: UNBOUND },
  { name: "tls-dnsdist", url: () => `tls://localhost:${dnsdist.tlsPort}`, expected: NSD },
  { name: "post-unbound", url: () => `https://localhost:${unbound.httpsPort}/dns-query`, expected: UNBOUND },
  {
    name: "get-unbound",
    url: () => `https://localhost:${unbound.httpsPort}/dns-query`,
    expected: UNBOUND,
    keys: ", method: GET",
  },
  { name: "post-dnsdist", url: () => `https://localhost:${dnsdist.httpsPort}/dns-query`, expected: NSD },
  { name: "get-dnsdist", url: () => `https://localhost:${dnsdist.httpsPort}/dns-query`, expected: NSD, keys: ", method: GET" },
  { name: "tls-by-bootstrap", url: () => `tls://dot.upstream.example:${unbound.tlsPort}`, expected: UNBOUND },
  { name: "https-by-bootstrap", url: () => `https://doh.upstream.example:${dnsdist.httpsPort}/dns-query`, expected: NSD },
  { name: "tls-by-address", url: () => `tls://127.0.0.1:${unbound.tlsPort}`, expected: UNBOUND },
  {
    name: "tls-pinned",
    url: () => `tls://nobody-knows.example:${unbound.tlsPort}`,
    expected: UNBOUND,
    keys: ", addresses: [127.0.0.1], tlsName: localhost",
  },
];

const streamWays = ways.filter(({ name }) => /^(?:tcp|tls|post|get)-(?:nsd|unbound|dnsdist)$/.test(name));
const proxies = [
  { kind: "socks", proxy: () => socks },
  { kind: "connect", proxy: () => tinyproxy },
] as const;

beforeAll(async () => {
  certificate = await makeCertificate(scene.folder, "DNS:localhost,DNS:*.upstream.example,IP:127.0.0.1");
  nsd = await scene.add(startNsd(nsdOptions()));
  unbound = await scene.add(startUnbound(unboundOptions()));
  dnsdist = await scene.add(startDnsdist(dnsdistOptions()));
  socks = await scene.add(startMicrosocks());
  tinyproxy = await scene.add(startTinyproxy(join(scene.folder, "tinyproxy")));
  fenliu = await scene.add(startFenliu(scene.subfolder("fenliu"), configuration(), { NODE_EXTRA_CA_CERTS: certificate.cert }));
});

afterAll(() => scene.close());

const nsdOptions = () => ({
  folder: join(scene.folder, "nsd"),
  zones: {
    example: `* IN A ${NSD}\nbig IN TXT ${Array.from({ length: 30 }, (_, n) => `"${String(n).padEnd(100, "x")}"`).join(" ")}`,
    "upstream.example": "dot IN A 127.0.0.1\ndoh IN A 127.0.0.1",
  },
});
const unboundOptions = () => ({
  folder: join(scene.folder, "unbound"),
  certificate,
  server: ['local-zone: "example" redirect', `local-data: "example. 300 IN A ${UNBOUND}"`],
});
const dnsdistOptions = () => ({ folder: join(scene.folder, "dnsdist"), certificate, serverPort: nsd.port });

function configuration(): string {
  const direct = ways.map(({ name, url, keys = "" }) => `  ${name}: { servers: [{ url: "${url()}"${keys} }] }`);
  const proxied = proxies.flatMap(({ kind, proxy }) =>
    streamWays.map(
      ({ name, url, keys = "" }) => `  ${name}-${kind}: { servers: [{ url: "${url()}"${keys} }], proxy: "${proxy().url}" }`,
    ),
  );
  const names = [
    ...ways.map(({ name }) => name),
    ...proxies.flatMap(({ kind }) => streamWays.map(({ name }) => `${name}-${kind}`)),
  ];
  return `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
bootstrap: ["127.0.0.1:${nsd.port}"]
upstreams:
${[...direct, ...proxied].join("\n")}
  distrusted: { servers: [{ url: "tls://localhost:${unbound.tlsPort}", tlsName: other.example }] }
rules:
${[...names, "distrusted"].map((name) => `  - { name: ${name}, domains: ${name}.example, upstream: ${name} }`).join("\n")}
  - { name: big, domains: big.example, upstream: udp-nsd }
${QUIET}`;
}

let serial = 0;

/** Asks for a name for the first time. */
async function askFresh(name: string): Promise<string | null> {
  serial += 1;
  return soleData(await dig(fenliu.ports.dns, `+time=5 q${serial}.${name}.example`));
}

test.each(ways)("the upstream $name answers", async ({ name, expected }) => {
  for (let turn = 0; turn < 3; turn++) expect(await askFresh(name)).toBe(expected);
});

test.each(proxies.flatMap(({ kind, proxy }) => streamWays.map((way) => ({ ...way, kind, proxy }))))(
  "$name by $kind: the proxy gets the host name, and one tunnel carries several queries",
  async ({ name, kind, proxy, url, expected }) => {
    const port = Number(new URL(url()).port);
    const before = proxy().tunnels("localhost", port);
    for (let turn = 0; turn < 3; turn++) expect(await askFresh(`${name}-${kind}`)).toBe(expected);
    expect(proxy().tunnels("localhost", port)).toBe(before + 1);
  },
);

test("an answer that is too long for UDP is fetched over TCP", async () => {
  const before = await nsd.statistics();
  const { answers } = await dig(fenliu.ports.dns, "+tcp big.example TXT");
  expect(answers[0]?.length).toBeGreaterThan(3000);
  const after = await nsd.statistics();
  const more = (counter: string) => (after.get(counter) ?? 0) - (before.get(counter) ?? 0);
  expect({ udp: more("num.udp"), tcp: more("num.tcp"), truncated: more("num.truncated") }).toEqual({
    udp: 1,
    tcp: 1,
    truncated: 1,
  });
});

describe("certificates", () => {
  test("a certificate for another name is refused", async () => {
    const heard = await dig(fenliu.ports.dns, "+time=5 a.distrusted.example");
    expect(heard.status).toBe("SERVFAIL");
    expect(heard.edns).toContainEqual(expect.stringMatching(/^EDE: 2[23] .* tls\)$/));
  });

  test("a certificate of an unknown authority is refused", async () => {
    const stranger = await scene.add(startFenliu(scene.subfolder("stranger"), configuration()));
    for (const name of ["tls-unbound", "post-dnsdist", "tls-unbound-socks"]) {
      const heard = await dig(stranger.ports.dns, `+time=5 a.${name}.example`);
      expect(heard.status, name).toBe("SERVFAIL");
      expect(heard.edns).toContainEqual(expect.stringMatching(/^EDE: 2[23] .* tls\)$/));
    }
  });
});

describe("servers that restart while connections to them are open", () => {
  const directNames = streamWays.map(({ name, expected }) => ({ name, expected }));
  const all = [
    ...directNames,
    ...proxies.flatMap(({ kind }) => directNames.map(({ name, expected }) => ({ name: `${name}-${kind}`, expected }))),
  ];

  test.each(["SIGTERM", "SIGKILL"] as const)(
    "after %s to each, the next query over every transport is answered",
    async (signal) => {
      for (const { name, expected } of all) expect(await askFresh(name), name).toBe(expected);
      await Promise.all([nsd.stop(signal), unbound.stop(signal), dnsdist.stop(signal)]);
      nsd = await scene.add(startNsd({ ...nsdOptions(), port: nsd.port }));
      unbound = await scene.add(startUnbound({ ...unboundOptions(), ports: unbound }));
      dnsdist = await scene.add(startDnsdist({ ...dnsdistOptions(), ports: dnsdist }));
      for (const { name, expected } of all) expect(await askFresh(name), name).toBe(expected);
    },
  );
});
