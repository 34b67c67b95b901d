import { getCACertificates, setDefaultCACertificates } from "node:tls";

let areTrusted = false;

/**
 * Makes the whole process trust the roots of the system and of NODE_EXTRA_CA_CERTS besides those of Node; does so once. To be called before a
 * connection that is checked against the roots of the process. Node's own roots serve a container without certificates; the system's serve a network
 * with its own authority. Done for the process rather than for each server, because some 300 certificates are parsed (80 ms), and not at the start,
 * because names that need no server can be answered before.
 */
export function trustSystemCertificates(): void {
  if (areTrusted) return;
  areTrusted = true;
  const all = [...getCACertificates("bundled"), ...getCACertificates("system"), ...getCACertificates("extra")];
  setDefaultCACertificates([...new Set(all)]);
}
