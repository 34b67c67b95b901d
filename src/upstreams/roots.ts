import { getCACertificates, setDefaultCACertificates } from "node:tls";

/**
 * Makes the whole process trust, beside the roots that come with Node, those of the system and of NODE_EXTRA_CA_CERTS. To be called once at
 * start. Node's own let a container without certificates work, the system's let a house use a server signed by its own authority. For the
 * process rather than for each server: some 300 certificates are parsed once (80 ms), and downloads of lists trust the same.
 */
export function trustSystemCertificates(): void {
  const all = [...getCACertificates("bundled"), ...getCACertificates("system"), ...getCACertificates("extra")];
  setDefaultCACertificates([...new Set(all)]);
}
