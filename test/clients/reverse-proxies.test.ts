import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeMessage } from "../../src/dns/message.ts";
import { rcodeName } from "../../src/dns/types.ts";
import { dig, kdig, soleData } from "./clients.ts";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { startNginx } from "./nginx.ts";
import { freePort, run } from "./processes.ts";
import { questionBytes } from "./question.ts";
import { type Relay, startRelay } from "./relay.ts";
import { Scene } from "./scene.ts";

/** From here nginx connects where it sends PROXY headers; for the rest it comes from 127.0.0.1. */
const PROXY = "127.0.0.3";
/** Clients, told apart by what they are answered. */
const PHONE = "127.0.0.5";
const TABLET = "127.0.0.6";
const STRANGER = "127.0.0.7";

const scene = new Scene();
let fenliu: FenliuProcess;
let relay: Relay;
let certificate: Awaited<ReturnType<typeof makeCertificate>>;
const ports = { http10: 0, http11: 0, realIp: 0, tls10: 0, tls11: 0, streamDns: 0, streamHttp: 0, streamTls: 0, streamHttps: 0 };

beforeAll(async () => {
  certificate = await makeCertificate(scene.folder);
  fenliu = await scene.add(
    startFenliu(
      scene.folder,
      `
listen:
  dns: ["127.0.0.1:0"]
  tls: ["127.0.0.1:0"]
  https: ["127.0.0.1:0"]
  http: ["127.0.0.1:0"]
  admin: null
  proxyProtocol: [${PROXY}]
tls: { cert: fullchain.pem, key: privkey.pem }
trustedProxies: [127.0.0.1]
access: { clients: [127.0.0.1, ${PHONE}, ${TABLET}] }
rules:
  - { name: phone, clients: ${PHONE}, answer: zero }
  - { name: tablet, clients: ${TABLET}, answer: nodata }
  - { name: others, answer: nxdomain }
${QUIET}`,
    ),
  );
  relay = await scene.add(startRelay(fenliu.ports.http));
  for (const name of Object.keys(ports)) Object.assign(ports, { [name]: await freePort() });
  await scene.add(startNginx(join(scene.folder, "nginx"), { http: httpSection(), stream: streamSection() }, ports.streamHttps));
});

afterAll(() => scene.close());

function httpSection(): string {
  const tls = `ssl_certificate ${certificate.cert}; ssl_certificate_key ${certificate.key};`;
  const direct = `proxy_pass http://127.0.0.1:${fenliu.ports.http};`;
  const forwarded = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
  const keepalive = `proxy_pass http://fenliu; proxy_http_version 1.1; proxy_set_header Connection ""; ${forwarded}`;
  const server = (port: number, kind: string, location: string) =>
    `server { listen 127.0.0.1:${port} ${kind}; ${kind === "" ? "" : tls} location / { ${location} } }\n`;
  return `
upstream fenliu { server 127.0.0.1:${relay.port}; keepalive 4; }
${server(ports.http10, "", `${direct} ${forwarded}`)}
${server(ports.http11, "", keepalive)}
${server(ports.realIp, "", `${direct} proxy_set_header X-Real-IP $remote_addr;`)}
${server(ports.tls10, "ssl http2", `${direct} ${forwarded}`)}
${server(ports.tls11, "ssl http2", keepalive)}`;
}

function streamSection(): string {
  const server = (port: number, target: number) =>
    `server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${target}; proxy_bind ${PROXY}; proxy_protocol on; }\n`;
  const { dns, tls, http, https } = fenliu.ports;
  return [
    server(ports.streamDns, dns),
    server(ports.streamTls, tls),
    server(ports.streamHttp, http),
    server(ports.streamHttps, https),
  ].join("");
}

/** What a client at this address is answered over DoH: an rcode, after it the first address. */
async function ask(client: string, url: string, ...more: readonly string[]): Promise<string> {
  const question = questionBytes("who.example").toString("base64url");
  const { stdout, stderr } = await run(
    `curl -sS -m 8 --cacert ${certificate.cert} --interface ${client} ${more.join(" ")} '${url}/dns-query?dns=${question}' | base64 -w0`,
    [],
    { shell: true },
  );
  const message = decodeMessage(Buffer.from(stdout, "base64"));
  if (message === null) throw new Error(`no message: ${stdout}${stderr}`);
  return `${rcodeName(message.rcode)} ${message.answers.length}`;
}

const byClient = { [PHONE]: "NOERROR 1", [TABLET]: "NOERROR 0", [STRANGER]: "REFUSED 0" };

describe("nginx before Fenliu", () => {
  test.each([
    ["http10", "http", ""],
    ["http11", "http", ""],
    ["realIp", "http", ""],
    ["tls10", "https", "--http1.1"],
    ["tls10", "https", "--http2"],
    ["tls11", "https", "--http1.1"],
    ["tls11", "https", "--http2"],
    ["streamHttp", "http", ""],
    ["streamHttp", "http", "--http2-prior-knowledge"],
    ["streamHttps", "https", "--http1.1"],
    ["streamHttps", "https", "--http2"],
  ] as const)("%s over %s %s: each client gets the answer for its own address", async (way, scheme, option) => {
    const url = `${scheme}://localhost:${ports[way]}`;
    for (const [client, expected] of Object.entries(byClient)) expect(await ask(client, url, option), client).toBe(expected);
  });

  test("an X-Forwarded-For header of the client itself is ignored", async () => {
    const lie = `-H 'X-Forwarded-For: ${PHONE}'`;
    for (const way of ["http10", "http11"] as const)
      expect(await ask(STRANGER, `http://localhost:${ports[way]}`, lie)).toBe("REFUSED 0");
    // Without a proxy before it a stranger is refused when the connection is accepted.
    await expect(ask(STRANGER, `http://localhost:${fenliu.ports.http}`, lie)).rejects.toThrow("no message");
    expect(await ask("127.0.0.1", `http://localhost:${fenliu.ports.http}`, lie)).toBe("NOERROR 1");
  });

  test("with keepalive, nginx sends many queries on one connection", async () => {
    const before = relay.connections();
    for (let turn = 0; turn < 10; turn++) expect(await ask(PHONE, `https://localhost:${ports.tls11}`)).toBe("NOERROR 1");
    expect(relay.connections() - before).toBeLessThanOrEqual(1);
  });

  test("POST with a body passes through, and so does a client id", async () => {
    const file = join(scene.folder, "question");
    await run(`printf %s '${questionBytes("who.example").toString("base64")}' | base64 -d > ${file}`, [], { shell: true });
    for (const way of ["http10", "http11"] as const) {
      const { stdout } = await run("curl", [
        ...["-sS", "-m", "8", "-o", "/dev/null", "-w", "%{http_code} %{content_type} %{size_download}", "--interface", PHONE],
        ...["-H", "content-type: application/dns-message", "--data-binary", `@${file}`],
        `http://localhost:${ports[way]}/dns-query/some-phone`,
      ]);
      expect(stdout).toMatch(/^200 application\/dns-message 45$/);
    }
  });
});

describe("nginx with proxy_protocol on", () => {
  test("before TCP: each client gets the answer for its own address", async () => {
    expect(soleData(await dig(ports.streamDns, `-b ${PHONE} +tcp who.example`))).toBe("0.0.0.0");
    expect(await dig(ports.streamDns, `-b ${TABLET} +tcp who.example`)).toMatchObject({ status: "NOERROR", answers: [] });
    expect((await dig(ports.streamDns, `-b ${STRANGER} +tcp who.example`)).status).toBe("REFUSED");
  });

  test("before DoT: each client gets the answer for its own address", async () => {
    const heard = (client: string) =>
      kdig(ports.streamTls, `-b ${client} +tls-ca=${certificate.cert} +tls-hostname=localhost who.example`);
    expect((await heard(PHONE)).map(soleData)).toEqual(["0.0.0.0"]);
    expect((await heard(STRANGER)).map(({ status }) => status)).toEqual(["REFUSED"]);
  });
});

test("a client outside access.clients is refused with the reason", async () => {
  const heard = await dig(fenliu.ports.dns, `-b ${STRANGER} who.example`);
  expect(heard).toMatchObject({ status: "REFUSED", flags: "qr rd ra", answers: [] });
  expect(heard.edns).toContainEqual(expect.stringMatching(/^EDE: 18 \(Prohibited\)/));
});

describe("a PROXY header written by hand", () => {
  /** Sends the header and a question over TCP from `from`, and gives the rcode; null where the connection is closed instead. */
  async function askAfter(header: Buffer | string, from: string): Promise<string | null> {
    const question = questionBytes("who.example");
    const socket = connect({ port: fenliu.ports.dns, host: "127.0.0.1", localAddress: from });
    socket.on("error", () => undefined);
    socket.write(Buffer.concat([Buffer.from(header), Buffer.from([0, question.length]), question]));
    const [event] = await Promise.race([once(socket, "data"), once(socket, "close").then(() => [null])]);
    socket.destroy();
    const message = Buffer.isBuffer(event) ? decodeMessage(event.subarray(2)) : null;
    return message === null ? null : `${rcodeName(message.rcode)} ${message.answers.length}`;
  }

  const version2 = (client: string) =>
    Buffer.concat([
      Buffer.from("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "latin1"),
      Buffer.from(client.split(".").map(Number)),
      Buffer.from([127, 0, 0, 1, 0xd4, 0x31, 0, 53]),
    ]);

  test("version 1 and version 2 carry the client's address", async () => {
    expect(await askAfter(`PROXY TCP4 ${PHONE} 127.0.0.1 54321 53\r\n`, PROXY)).toBe("NOERROR 1");
    expect(await askAfter(version2(PHONE), PROXY)).toBe("NOERROR 1");
    expect(await askAfter(version2(STRANGER), PROXY)).toBe("REFUSED 0");
  });

  test("a connection of a proxy without a PROXY header is closed, and a PROXY header of another client is refused", async () => {
    expect(await askAfter("", PROXY)).toBeNull();
    const socket = connect({ port: fenliu.ports.http, host: "127.0.0.1", localAddress: PHONE });
    socket.write(`PROXY TCP4 ${TABLET} 127.0.0.1 54321 80\r\nGET /dns-query HTTP/1.1\r\n\r\n`);
    const [said] = await once(socket, "data");
    expect(String(said)).toMatch(/^HTTP\/1\.1 400 /);
    socket.destroy();
  });
});
