import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./processes.ts";

/** A zone signed by ldns, in the parts that others want of it. */
export interface SignedZone {
  /** The records without SOA and NS of the apex, as `startNsd` takes them; their signatures are among them. */
  readonly records: string;
  /** A file with the DNSKEY to trust, for unbound. */
  readonly anchorFile: string;
  /** The same in BIND's syntax, for delv. */
  readonly bindAnchorFile: string;
}

export interface SigningOptions {
  readonly folder: string;
  readonly name: string;
  /** Records below `startNsd`'s SOA and NS. */
  readonly records: string;
  readonly denial: "NSEC" | "NSEC3";
}

/** Signs a zone with one key of its own. `apex` are the lines that `startNsd` will put before. */
export async function signZone(options: SigningOptions, apex: string): Promise<SignedZone> {
  const { folder, name, records, denial } = options;
  mkdirSync(folder, { recursive: true });
  const key = (await ldns(folder, "ldns-keygen", ["-a", "ECDSAP256SHA256", "-k", name])).trim();
  writeFileSync(join(folder, "zone"), `$ORIGIN ${name}.\n$TTL 300\n${apex}${records}\n`);
  const nsec3 = denial === "NSEC3" ? ["-n", "-t", "0"] : [];
  await ldns(folder, "ldns-signzone", [...nsec3, "-o", `${name}.`, "-f", "signed", "zone", key]);
  const signed = readFileSync(join(folder, "signed"), "utf8");
  const anchor = readFileSync(join(folder, `${key}.key`), "utf8");
  const bindAnchorFile = join(folder, "anchors.conf");
  const [, publicKey] = /DNSKEY\s+257 3 13 ([^\s;]+)/.exec(anchor) ?? [];
  writeFileSync(bindAnchorFile, `trust-anchors { "${name}." static-key 257 3 13 "${publicKey}"; };\n`);
  return {
    records: signed
      .split("\n")
      .filter((line) => !/^\S+\s+\d+\s+IN\s+(SOA|NS)\s/.test(line))
      .join("\n"),
    anchorFile: join(folder, `${key}.key`),
    bindAnchorFile,
  };
}

async function ldns(folder: string, command: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(command, args, { cwd: folder });
  if (status !== 0) throw new Error(`${command}: ${stdout}${stderr}`);
  return stdout;
}
