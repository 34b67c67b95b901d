import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startFenliu } from "../../test/clients/fenliu.ts";
import { CALL_MS, WRITER } from "../../test/support/routeros/calls.ts";
import { openRest } from "../../test/support/routeros/rest.ts";
import { Router } from "../../test/support/routeros/router.ts";
import type { Peer, Setting, Started } from "./peer.ts";

/** With the query log, or without, as the peers are. */
export const fenliu = fenliuWith("Fenliu", "{ enabled: false }");
export const fenliuLogging = fenliuWith("Fenliu with query log", "{ store: queries.db }");

/** Puts every address into a list of a router, which stands in this process and takes its time for each call. */
export const fenliuFeeding: Peer = {
  name: "Fenliu feeding a router",
  program: null,
  threads: "1",
  async start(setting) {
    const { folder, certificate } = setting;
    const tls = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
    const users = { fenliu: { password: "secret", policy: WRITER } };
    const router = await openRest(new Router(), { tls, users, workMs: () => CALL_MS });
    writeFileSync(join(folder, "password"), "secret\n");
    const started = await startWith(
      setting,
      `log: { queries: { enabled: false } }
rules: [{ name: all, upstream: upstream }]
routeros: { url: "${router.url}", user: fenliu, passwordFile: password, ca: ${JSON.stringify(certificate.cert)}, addressLists: [{ rule: all, list: WORLD }] }`,
    );
    const stop = async (signal?: "SIGTERM" | "SIGKILL") => {
      const status = await started.running.stop(signal);
      await router.close();
      return status;
    };
    return { ...started, running: { ...started.running, stop } };
  },
};

function fenliuWith(name: string, queries: string): Peer {
  return { name, program: null, threads: "1", start: (setting) => startWith(setting, `log: { queries: ${queries} }`) };
}

async function startWith({ folder, upstreamPort, certificate }: Setting, yaml: string): Promise<Started> {
  const running = await startFenliu(
    folder,
    `listen: { dns: ["127.0.0.1:0"], tls: ["127.0.0.1:0"], https: ["127.0.0.1:0"], http: [], admin: null }
tls: { cert: ${JSON.stringify(certificate.cert)}, key: ${JSON.stringify(certificate.key)} }
upstreams: { upstream: { servers: ["udp://127.0.0.1:${upstreamPort}"] } }
cache: { file: null }
${yaml}
`,
  );
  return { running, udpPort: running.ports.dns, tlsPort: running.ports.tls, httpsPort: running.ports.https };
}
