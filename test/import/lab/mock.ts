import { createSocket } from "node:dgram";
import { appendFileSync } from "node:fs";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { clientSubnetText } from "../../../src/dns/edns.ts";
import { decodeMessage } from "../../../src/dns/message.ts";
import { nameText } from "../../../src/dns/name.ts";
import { isRejection, parseQuery } from "../../../src/dns/query.ts";
import { RCODE, typeName } from "../../../src/dns/types.ts";
import { responseWire, zone } from "../../dns/zone.ts";
import { addressesOfRole, roleOf, type Scene, sideOfRole, type Transport } from "./scene.ts";

/**
 * Servers that say who was asked: each answers every name with addresses of its own, and writes down what it was asked. Labels of a name tell what is
 * to come of it: `near-nx` is NXDOMAIN from the servers at home, `all-cn` a domestic address from all, `far-slow900` an answer after 900 ms.
 */
export async function openMocks(
  scene: Scene,
  addresses: readonly string[],
  {
    log,
    tls,
    streams,
  }: { readonly log: string; readonly tls: { readonly cert: string; readonly key: string } | null; readonly streams: boolean },
): Promise<void> {
  const answer = (wire: Buffer, transport: Transport, address: string, port: number): Promise<Buffer | null> =>
    answerOf(wire, { scene, role: roleOf(scene, transport, address, port), log });
  const framed = (transport: Transport, socket: Socket) => {
    let held = Buffer.alloc(0);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const wire = held.subarray(2, 2 + held.readUInt16BE(0));
        held = held.subarray(2 + wire.length);
        void answer(Buffer.from(wire), transport, socket.localAddress ?? "", socket.localPort ?? 0).then((reply) => {
          if (reply === null || socket.destroyed) return;
          socket.write(Buffer.concat([Uint8Array.of(reply.length >> 8, reply.length & 255), reply]));
        });
      }
    });
  };
  const opened: Promise<unknown>[] = [];
  const listen = (
    server: {
      listen: (port: number, host: string, done: () => void) => unknown;
      on: (event: "error", then: () => void) => unknown;
    },
    port: number,
    host: string,
  ) =>
    opened.push(
      new Promise<void>((resolve) => {
        // Another of the scene may hold the port already.
        server.on("error", () => resolve());
        server.listen(port, host, resolve);
      }),
    );
  for (const address of addresses)
    for (const port of scene.ports.udp) {
      if (!streams && port === scene.ownPort) continue;
      const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
      socket.on("message", (wire, peer) => {
        void answer(wire, "udp", address, port).then(
          (reply) => reply !== null && socket.send(reply, peer.port, peer.address, () => undefined),
        );
      });
      opened.push(
        new Promise<void>((resolve) => {
          socket.on("error", () => resolve());
          socket.bind(port, address, resolve);
        }),
      );
      if (!streams)
        listen(
          createServer((peer) => framed("tcp", peer)),
          port,
          address,
        );
    }
  if (streams && tls !== null) {
    const secure = { ...tls, ALPNProtocols: ["dot"] };
    for (const port of scene.ports.tcp)
      listen(
        createServer((peer) => framed("tcp", peer)),
        port,
        "::",
      );
    for (const port of scene.ports.tls)
      listen(
        createTlsServer(secure, (peer) => framed("tls", peer)),
        port,
        "::",
      );
    for (const port of scene.ports.https)
      listen(
        createHttpsServer(tls, (request, response) => {
          const chunks: Buffer[] = [];
          request.on("data", (chunk: Buffer) => chunks.push(chunk));
          request.on("end", () => {
            const encoded = new URL(request.url ?? "/", "https://x").searchParams.get("dns");
            const wire = encoded === null ? Buffer.concat(chunks) : Buffer.from(encoded, "base64url");
            void answer(wire, "https", request.socket.localAddress ?? "", port).then((reply) => {
              if (reply !== null)
                // smartdns 40 knows the field in this spelling alone.
                response.writeHead(200, { "content-type": "application/dns-message", "Content-Length": reply.length }).end(reply);
            });
          });
        }),
        port,
        "::",
      );
  }
  await Promise.all(opened);
}

/** null = silence. */
async function answerOf(
  wire: Buffer,
  { scene, role, log }: { readonly scene: Scene; readonly role: string; readonly log: string },
): Promise<Buffer | null> {
  const query = parseQuery(wire);
  if (query === null || isRejection(query)) return null;
  const name = nameText(query.name);
  const type = typeName(query.type);
  const server = scene.hosts[name];
  const ecs = query.clientSubnet === null ? "" : clientSubnetText(query.clientSubnet);
  if (server === undefined) appendFileSync(log, `${[role, name, type, ecs].join("\t")}\n`);
  const { four, six } = addressesOfRole(role);
  const question = decodeMessage(wire)?.questions ?? [];
  const parts = { id: wire.readUInt16BE(0), questions: question };
  const soa = zone(`lab 300 SOA ns.lab h.lab 1 2 3 4 300`);
  const does = server === undefined ? deedsOf(name, role) : [];
  const delay = does.find((each) => each.startsWith("slow"));
  if (delay !== undefined) await new Promise((resolve) => setTimeout(resolve, Number(delay.slice(4))));
  if (does.includes("drop")) return null;
  const code = does.includes("nx")
    ? RCODE.NXDOMAIN
    : does.includes("servfail")
      ? RCODE.SERVFAIL
      : does.includes("refused")
        ? RCODE.REFUSED
        : 0;
  if (code !== 0) return responseWire({ ...parts, rcode: code, authority: code === RCODE.NXDOMAIN ? soa : [] });
  if (does.includes("nodata")) return responseWire({ ...parts, authority: soa });
  if (does.includes("bare")) return responseWire(parts);
  const chosen = does.includes("mixed")
    ? ["61.135.9.9", "142.250.9.9"]
    : does.includes("cn")
      ? ["61.135.9.9"]
      : does.includes("foreign")
        ? ["142.250.9.9"]
        : [four];
  const chosen6 = does.includes("cn") ? ["2400:3200::99"] : does.includes("foreign") ? ["2607:f8b0::99"] : [six];
  const label = role.replace(/[^\w.]/g, "-");
  const records: Readonly<Record<string, readonly string[]>> = {
    A: (server === undefined ? chosen : [server]).map((each) => `A ${each}`),
    AAAA: server === undefined ? chosen6.map((each) => `AAAA ${each}`) : [],
    TXT: [`TXT "${role}"`],
    MX: [`MX 10 mx.${label}`],
    PTR: [`PTR ptr.${label}`],
    HTTPS: [`HTTPS 1 . alpn="h2" ipv4hint=${chosen[0] ?? four}`],
  };
  const answers = zone(...(records[type] ?? []).map((each) => `${name} 120 ${each}`));
  return responseWire({ ...parts, answers, authority: answers.length === 0 ? soa : [] });
}

function deedsOf(name: string, role: string): readonly string[] {
  const side = sideOfRole(role) === "near" ? "near" : "far";
  return name.split(".").flatMap((label) => {
    const [, whose, deed = ""] = /^(near|far|all)-([a-z]+\d*)$/.exec(label) ?? [];
    return whose === side || whose === "all" ? [deed] : [];
  });
}
