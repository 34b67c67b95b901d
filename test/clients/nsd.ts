import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Running, run, start } from "./processes.ts";
import { answersDns } from "./readiness.ts";

/** An nsd, which is authoritative for the zones it is given. */
export interface Nsd extends Running {
  readonly port: number;
  /** Its own counters by name, such as `num.queries` and `num.tcp`. */
  statistics(): Promise<ReadonlyMap<string, number>>;
}

export interface NsdOptions {
  /** The folder for its files: created here, and used again by a restart. */
  readonly folder: string;
  readonly port?: number;
  /** Whether it knows cookies (RFC 7873). */
  readonly cookies?: boolean;
  /** Zone files without SOA and NS, by the name of the zone. */
  readonly zones: Readonly<Record<string, string>>;
}

/** Starts an nsd on 127.0.0.1 and waits until it answers. */
export async function startNsd({ folder, zones, port: given, cookies = false }: NsdOptions): Promise<Nsd> {
  const port = given ?? (await freePort());
  mkdirSync(folder, { recursive: true });
  const sections = Object.entries(zones).map(([name, records], index) => {
    const file = `zone-${index}`;
    writeFileSync(join(folder, file), `$ORIGIN ${name === "." ? "." : `${name}.`}\n$TTL 300\n${APEX}${records}\n`);
    return `zone:\n  name: "${name}"\n  zonefile: "${file}"\n`;
  });
  const config = join(folder, "nsd.conf");
  writeFileSync(config, `${serverSection(folder, port, cookies)}${sections.join("")}`);
  const running = await start("nsd", ["-d", "-c", config], () => answersDns(port));
  return {
    ...running,
    port,
    async statistics() {
      const { stdout, stderr } = await run("nsd-control", ["-c", config, "stats_noreset"]);
      if (!stdout.includes("num.queries=")) throw new Error(stdout + stderr);
      return new Map(stdout.split("\n").map((line) => [line.split("=")[0] ?? "", Number(line.split("=")[1])]));
    },
  };
}

const APEX = "@ 300 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60\n@ IN NS ns.invalid.\n";

// Its limit on equal answers to one client would drop replies to a test, which has one address.
function serverSection(folder: string, port: number, cookies: boolean): string {
  return `server:
  ip-address: 127.0.0.1
  port: ${port}
  username: ""
  zonesdir: "${folder}"
  database: ""
  pidfile: "${folder}/nsd.pid"
  xfrdfile: "${folder}/xfrd.state"
  zonelistfile: "${folder}/zone.list"
  server-count: 1
  rrl-ratelimit: 0
  answer-cookie: ${cookies ? "yes" : "no"}
remote-control:
  control-enable: yes
  control-interface: "${folder}/control"
`;
}
