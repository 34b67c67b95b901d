import { setImmediate as nextTurn } from "node:timers/promises";
import { getCACertificates, setDefaultCACertificates } from "node:tls";

let trusting: Promise<void> | null = null;

/**
 * Makes the whole process trust the roots of the system and of NODE_EXTRA_CA_CERTS besides those of Node; does so once. To be awaited before a
 * connection that is checked against the roots of the process. Node's own roots serve a container without certificates; the system's serve a network
 * with its own authority. Done for the process rather than for each server, because some 300 certificates are parsed (40 to 80 ms, in parts between
 * which queries are answered), and not at the start, because names that need no server can be answered before.
 */
export function trustSystemCertificates(): Promise<void> {
  trusting ??= trustAll();
  return trusting;
}

async function trustAll(): Promise<void> {
  const all = new Set<string>();
  for (const kind of ["bundled", "system", "extra"] as const) {
    for (const certificate of getCACertificates(kind)) all.add(certificate);
    await nextTurn();
  }
  setDefaultCACertificates([...all]);
}
