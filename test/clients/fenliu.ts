import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot, type Running, run, start } from "./processes.ts";

/** A Fenliu in a process of its own, as a user would start it. */
export interface FenliuProcess extends Running {
  readonly ports: Readonly<Record<"dns" | "tls" | "https" | "http", number>>;
}

/** Starts Fenliu with this configuration, whose listeners may have port 0, and waits until it answers. */
export async function startFenliu(
  folder: string,
  yaml: string,
  env: Readonly<Record<string, string>> = {},
): Promise<FenliuProcess> {
  const file = join(folder, "fenliu.yaml");
  writeFileSync(file, yaml);
  const node = join(projectRoot, "node_modules/.bin/node");
  const running = await start(node, [join(projectRoot, "start.mjs"), "serve", "-c", file], /Fenliu is answering/, { env });
  const port = (kind: string) => Number(new RegExp(`"${kind}":"[^"]*:(\\d+)`).exec(running.output())?.[1] ?? 0);
  return { ...running, ports: { dns: port("dns"), tls: port("tls"), https: port("https"), http: port("http") } };
}

/** A self-signed certificate for localhost and 127.0.0.1, as the README has one made. */
export async function makeCertificate(folder: string): Promise<{ readonly cert: string; readonly key: string }> {
  const cert = join(folder, "fullchain.pem");
  const key = join(folder, "privkey.pem");
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const { status, stderr } = await run("openssl", ["req", ...kind, ...subject, "-keyout", key, "-out", cert]);
  if (status !== 0) throw new Error(stderr);
  return { cert, key };
}
