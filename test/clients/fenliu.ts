import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot, type Running, type RunOptions, run, start } from "./processes.ts";

/** A Fenliu in a process of its own, as a user would start it. */
export interface FenliuProcess extends Running {
  /** Of the first listener of each kind, `dns6` of the first for DNS on IPv6; 0 where there is none. */
  readonly ports: Readonly<Record<"dns" | "dns6" | "tls" | "https" | "http" | "admin", number>>;
}

/** The path of the pinned Node, and what it runs to be a Fenliu with this configuration file. */
export function fenliuCommand(file: string): readonly [node: string, ...args: readonly string[]] {
  return [join(projectRoot, "node_modules/.bin/node"), join(projectRoot, "start.mjs"), "serve", "-c", file];
}

/** Starts Fenliu with this configuration, whose listeners may have port 0, and waits until it answers. */
export async function startFenliu(folder: string, yaml: string, env: RunOptions["env"] = {}): Promise<FenliuProcess> {
  const file = join(folder, "fenliu.yaml");
  writeFileSync(file, yaml);
  const [node, ...args] = fenliuCommand(file);
  const running = await start(node, args, /Fenliu is answering/, { env });
  const port = (kind: string, before = "") =>
    Number(new RegExp(`"${kind}":"[^"]*?${before}:(\\d+)[ "]`).exec(running.output())?.[1] ?? 0);
  const dns6 = port("dns", "\\]");
  const ports = { dns: port("dns"), dns6, tls: port("tls"), https: port("https"), http: port("http"), admin: port("admin") };
  return { ...running, ports };
}

/** The parts of a configuration that every test wants: nothing written to disk, no admin port. */
export const QUIET = `
cache: { file: null }
log: { queries: { enabled: false } }
`;

/** A self-signed certificate for these names, by default as the README has one made. */
export async function makeCertificate(
  folder: string,
  names = "DNS:localhost,IP:127.0.0.1",
): Promise<{ readonly cert: string; readonly key: string }> {
  const cert = join(folder, "fullchain.pem");
  const key = join(folder, "privkey.pem");
  const subject = ["-subj", "/CN=localhost", "-addext", `subjectAltName=${names}`];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const { status, stderr } = await run("openssl", ["req", ...kind, ...subject, "-keyout", key, "-out", cert]);
  if (status !== 0) throw new Error(stderr);
  return { cert, key };
}
