import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasIpv6 } from "../support/ipv6.ts";
import { dig, digAll, kdig, soleData } from "./clients.ts";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { startNsd } from "./nsd.ts";
import { eventually, run } from "./processes.ts";
import { questionBytes } from "./question.ts";
import { startRelay } from "./relay.ts";
import { Scene } from "./scene.ts";

const scene = new Scene();
let fenliu: FenliuProcess;
let certificate: Awaited<ReturnType<typeof makeCertificate>>;

/** Some 1,600 bytes of answer, and some 5,000. */
const long = (count: number) => Array.from({ length: count }, (_, index) => `"${String(index).padEnd(100, "x")}"`).join(" ");

beforeAll(async () => {
  certificate = await makeCertificate(scene.folder);
  const nsd = await scene.add(
    startNsd({
      folder: join(scene.folder, "nsd"),
      zones: {
        example: `page IN A 192.0.2.7
page IN AAAA 2001:db8::7
alias IN CNAME page
page IN HTTPS 1 . alpn=h2 ipv4hint=192.0.2.7
long IN TXT ${long(15)}
huge IN TXT ${long(45)}
*.fresh IN A 192.0.2.9`,
      },
    }),
  );
  fenliu = await scene.add(
    startFenliu(
      scene.folder,
      `
listen:
  dns: ["127.0.0.1:0"${hasIpv6 ? ', "[::1]:0"' : ""}]
  tls: ["127.0.0.1:0"]
  https: ["127.0.0.1:0"]
  http: ["127.0.0.1:0"]
  admin: null
tls: { cert: fullchain.pem, key: privkey.pem }
upstreams:
  nsd: { servers: ["127.0.0.1:${nsd.port}"] }
rules:
  - { name: ads, domains: ads.example, answer: nodata }
  - { name: plain, domains: plain.example, https: nodata }
hosts:
  records:
    nas.lan: [10.0.0.5, "fd00::5"]
    "*.apps.lan": 10.0.0.6
    photos.lan: { cname: nas.lan }
${QUIET}`,
    ),
  );
});

afterAll(() => scene.close());

describe("dig over UDP", () => {
  test("a forwarded name gets its records, the flags of a resolver, and OPT because dig sent OPT", async () => {
    const heard = await dig(fenliu.ports.dns, "page.example");
    expect(heard).toMatchObject({ status: "NOERROR", flags: "qr rd ra", question: "page.example. IN A" });
    expect(soleData(heard)).toBe("192.0.2.7");
    expect(heard.edns).toEqual(["EDNS: version: 0, flags:; udp: 1232"]);
  });

  test("a reply has OPT only if the query had OPT", async () => {
    const heard = await dig(fenliu.ports.dns, "+noedns page.example");
    expect(soleData(heard)).toBe("192.0.2.7");
    expect(heard.edns).toEqual([]);
  });

  test("the hosts table answers a name, a wildcard, an alias and a PTR", async () => {
    expect(soleData(await dig(fenliu.ports.dns, "nas.lan AAAA"))).toBe("fd00::5");
    expect(soleData(await dig(fenliu.ports.dns, "deep.grafana.apps.lan"))).toBe("10.0.0.6");
    expect((await dig(fenliu.ports.dns, "photos.lan")).answers).toEqual([
      "photos.lan. 60 IN CNAME nas.lan.",
      "nas.lan. 60 IN A 10.0.0.5",
    ]);
    expect(soleData(await dig(fenliu.ports.dns, "-x 10.0.0.5"))).toBe("nas.lan.");
  });

  test("the letter case of the question is kept in replies from upstream, cache and hosts table", async () => {
    for (const name of ["aLiaS.eXaMPlE", "ALIAS.example", "alias.EXAMPLE"]) {
      const heard = await dig(fenliu.ports.dns, name);
      expect(heard.question).toBe(`${name}. IN A`);
      expect(heard.answers).toHaveLength(2);
    }
    expect((await dig(fenliu.ports.dns, "NaS.lAn")).question).toBe("NaS.lAn. IN A");
  });

  test("RD, CD and the DO bit are copied from the query", async () => {
    expect((await dig(fenliu.ports.dns, "+nord +cd page.example")).flags).toBe("qr ra cd");
    expect((await dig(fenliu.ports.dns, "+dnssec page.example")).edns[0]).toBe("EDNS: version: 0, flags: do; udp: 1232");
  });

  test("the scope 0 of the reply says that the client subnet was not used (RFC 7871 §7.2.1)", async () => {
    const heard = await dig(fenliu.ports.dns, "+subnet=192.0.2.0/24 page.example");
    expect(soleData(heard)).toBe("192.0.2.7");
    expect(heard.edns).toEqual(["EDNS: version: 0, flags:; udp: 1232", "CLIENT-SUBNET: 192.0.2.0/24/0"]);
  });

  test("other EDNS options are ignored, and not sent back", async () => {
    for (const option of ["+cookie=0123456789abcdef", "+nsid", "+expire", "+padding=128", "+ednsopt=65001:00ff"]) {
      const heard = await dig(fenliu.ports.dns, `${option} page.example`);
      expect(soleData(heard), option).toBe("192.0.2.7");
      expect(heard.edns, option).toEqual(["EDNS: version: 0, flags:; udp: 1232"]);
    }
  });

  test("another version of EDNS is BADVERS, another opcode NOTIMP", async () => {
    expect((await dig(fenliu.ports.dns, "+edns=1 +noednsneg page.example")).status).toBe("BADVERS");
    expect((await dig(fenliu.ports.dns, "+opcode=status page.example")).status).toBe("NOTIMP");
  });

  test("an answer that does not fit is truncated with TC, and dig gets all of it over TCP", async () => {
    const cut = await dig(fenliu.ports.dns, "+ignore +bufsize=512 long.example TXT");
    expect(cut).toMatchObject({ status: "NOERROR", flags: "qr tc rd ra", answers: [] });
    const whole = await dig(fenliu.ports.dns, "+bufsize=512 long.example TXT");
    expect(whole.flags).toBe("qr rd ra");
    expect(whole.answers).toHaveLength(1);
    expect(whole.text).toContain("(TCP)");
  });

  test("no datagram is longer than 1232 bytes, even if the client accepts more", async () => {
    const cut = await dig(fenliu.ports.dns, "+ignore +bufsize=4096 long.example TXT");
    expect(cut).toMatchObject({ flags: "qr tc rd ra", answers: [] });
  });

  test("an absent name is NXDOMAIN and an absent type is NODATA, both with the SOA of the zone", async () => {
    const [nowhere, empty] = await digAll(fenliu.ports.dns, "nowhere.example A page.example MX");
    expect(nowhere).toMatchObject({ status: "NXDOMAIN", answers: [] });
    expect(empty).toMatchObject({ status: "NOERROR", answers: [] });
    for (const heard of [nowhere, empty])
      expect(heard?.authority).toEqual([expect.stringMatching(/^example\. \d+ IN SOA ns\.invalid\. /)]);
  });

  test("a blocked name and a filtered type are NODATA with the reason", async () => {
    const blocked = await dig(fenliu.ports.dns, "ads.example HTTPS");
    expect(blocked).toMatchObject({ status: "NOERROR", answers: [] });
    expect(blocked.authority).toEqual([expect.stringMatching(/^ads\.example\. 60 IN SOA .* 60$/)]);
    expect(blocked.edns).toContainEqual(expect.stringMatching(/^EDE: 15 \(Blocked\)/));
    const filtered = await dig(fenliu.ports.dns, "plain.example HTTPS");
    expect(filtered).toMatchObject({ status: "NOERROR", answers: [] });
    expect(filtered.authority).toEqual([expect.stringMatching(/^plain\.example\. 60 IN SOA .* 60$/)]);
    expect(filtered.edns).toContainEqual(expect.stringMatching(/^EDE: 17 \(Filtered\)/));
  });

  test("an HTTPS record is passed on unchanged", async () => {
    expect(soleData(await dig(fenliu.ports.dns, "page.example HTTPS"))).toBe('1 . alpn="h2" ipv4hint=192.0.2.7');
  });

  // Nothing can listen on ::1 where IPv6 is switched off.
  test.skipIf(!hasIpv6)("dig over IPv6", async () => {
    const heard = await dig(fenliu.ports.dns6, "@::1 page.example AAAA");
    expect(soleData(heard)).toBe("2001:db8::7");
    expect(heard.text).toContain("(::1)");
    expect(soleData(await dig(fenliu.ports.dns6, "@::1 +tcp nas.lan"))).toBe("10.0.0.5");
  });
});

describe("dig over TCP", () => {
  test("an answer of five thousand bytes arrives whole", async () => {
    const heard = await dig(fenliu.ports.dns, "+tcp huge.example TXT");
    expect(heard.answers[0]?.length).toBeGreaterThan(4500);
    expect(heard.flags).toBe("qr rd ra");
  });

  test("one connection carries several queries", async () => {
    const relay = await scene.add(startRelay(fenliu.ports.dns));
    const heard = await digAll(relay.port, "+tcp +keepopen page.example A page.example AAAA nas.lan A");
    expect(heard.map(soleData)).toEqual(["192.0.2.7", "2001:db8::7", "10.0.0.5"]);
    expect(relay.connections()).toBe(1);
  });

  test("a zone transfer is refused", async () => {
    const { stdout } = await run("dig", ["@127.0.0.1", "-p", String(fenliu.ports.dns), "+tries=1", "AXFR", "example"]);
    expect(stdout).toContain("Transfer failed.");
    const shown = await run("kdig", ["@127.0.0.1", "-p", String(fenliu.ports.dns), "+retry=0", "AXFR", "example"]);
    expect(shown.stdout + shown.stderr).toContain("REFUSED");
  });

  test("ANY gets one HINFO record (RFC 8482)", async () => {
    expect((await dig(fenliu.ports.dns, "+tcp page.example ANY")).answers).toEqual([
      expect.stringMatching(/^page\.example\. \d+ IN HINFO "RFC8482" ""$/),
    ]);
  });
});

describe("dig over TLS and HTTPS", () => {
  test.each([
    ["+tls", "tls", "TLS"],
    ["+https", "https", "HTTPS"],
    ["+https-get", "https", "HTTPS-GET"],
    ["+http-plain", "http", "HTTP"],
    ["+http-plain-get", "http", "HTTP-GET"],
  ] as const)("dig %s", async (option, kind, shown) => {
    const secure = kind === "http" ? "" : `+tls-ca=${certificate.cert} +tls-hostname=localhost `;
    const heard = await dig(fenliu.ports[kind], `${option} ${secure}page.example`);
    expect(soleData(heard)).toBe("192.0.2.7");
    expect(heard.text).toContain(`(${shown})`);
  });
});

/** The pin of a certificate's key (RFC 7858 §4.2). */
async function pinOf(cert: string): Promise<string> {
  const key = `openssl x509 -in ${cert} -pubkey -noout | openssl pkey -pubin -outform der`;
  return (await run(`${key} | openssl dgst -sha256 -binary | base64`, [], { shell: true })).stdout.trim();
}

describe("kdig", () => {
  const verified = () => `+tls-ca=${certificate.cert} +tls-hostname=localhost`;
  const questions = "page.example A page.example AAAA nas.lan A";
  const data = ["192.0.2.7", "2001:db8::7", "10.0.0.5"];

  test("over TLS with the certificate verified, several queries on one connection", async () => {
    const relay = await scene.add(startRelay(fenliu.ports.tls));
    const heard = await kdig(relay.port, `+tls ${verified()} +keepopen ${questions}`);
    expect(heard.map(soleData)).toEqual(data);
    expect(relay.connections()).toBe(1);
  });

  test("over TLS with the key pinned, as Android and forwarders do", async () => {
    expect((await kdig(fenliu.ports.tls, `+tls-pin=${await pinOf(certificate.cert)} page.example`)).map(soleData)).toEqual([
      "192.0.2.7",
    ]);
  });

  test.each(["+https", "+https +https-get"])("over HTTPS, %s", async (option) => {
    const relay = await scene.add(startRelay(fenliu.ports.https));
    const heard = await kdig(relay.port, `${option} ${verified()} +keepopen ${questions}`);
    expect(heard.map(soleData)).toEqual(data);
    expect(relay.connections()).toBe(1);
  });

  test("with padding and keep-alive over TLS", async () => {
    const [heard] = await kdig(fenliu.ports.tls, `+tls ${verified()} +padding=128 +nsid +cookie page.example`);
    expect(heard?.answers).toHaveLength(1);
  });
});

describe("many concurrent queries", () => {
  test.each(["udp", "tcp", "dot"] as const)("dnsperf loses none over %s", async (mode) => {
    const names = Array.from({ length: 500 }, (_, index) => `${mode}-${index}.fresh.example A\nnas.lan A\n`);
    const file = join(scene.folder, `${mode}.names`);
    writeFileSync(file, names.join(""));
    const port = fenliu.ports[mode === "dot" ? "tls" : "dns"];
    const load = ["-n", "1", "-c", "2", "-q", "100", "-d", file];
    const { stdout } = await run("dnsperf", ["-s", "127.0.0.1", "-p", String(port), "-m", mode, ...load]);
    expect(stdout).toMatch(/Queries completed: +1000 \(100\.00%\)/);
    expect(stdout).toMatch(/Response codes: +NOERROR 1000 \(100\.00%\)/);
  });

  // dnsperf itself loses answers of DoH that come together, from any server: h2load stands in for it.
  test.each([
    ["https", "--npn-list=h2", "h2"],
    ["https", "--h1", "http/1.1"],
    ["http", "--no-tls-proto=h2c", "h2c"],
    ["http", "--no-tls-proto=http/1.1", "http/1.1"],
  ] as const)("h2load gets every answer over %s with %s", async (kind, option, shown) => {
    const uris = Array.from({ length: 100 }, (_, index) => {
      const name = `${kind}-${shown.replaceAll(/\W/g, "")}-${index}.fresh.example`;
      return `${kind}://localhost:${fenliu.ports[kind]}/dns-query?dns=${questionBytes(name).toString("base64url")}\n`;
    });
    const file = join(scene.folder, "uris");
    writeFileSync(file, uris.join(""));
    const { stdout } = await run("h2load", [option, "-n", "1000", "-c", "2", "-m", "50", "-i", file]);
    expect(stdout).toContain("1000 succeeded, 0 failed, 0 errored, 0 timeout");
    expect(stdout).toMatch(new RegExp(`protocol: ${shown}$`, "m"));
  });
});

test("new connections get the renewed certificate after it changes on disk", async () => {
  const before = await pinOf(certificate.cert);
  await makeCertificate(scene.folder);
  const after = await pinOf(certificate.cert);
  expect(after).not.toBe(before);
  const accepted = (pin: string) =>
    kdig(fenliu.ports.tls, `+tls-pin=${pin} page.example`).then(
      ([heard]) => heard ?? null,
      () => null,
    );
  expect(await eventually(() => accepted(after)).then(soleData)).toBe("192.0.2.7");
  expect(await accepted(before)).toBeNull();
});
