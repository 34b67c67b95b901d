import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { connect, type DetailedPeerCertificate, getCACertificates } from "node:tls";

/** Hosts of the LAN answer within some ms; a router that is asked for a script should not wait long for one that is down. */
const TIMEOUT_MS = 3000;

/** The name of a host without the brackets of IPv6. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "");
}

/**
 * The certificates that a service shows to its clients, its own first, with the authority at the end where this host knows it. They are not
 * verified: what a router makes of them is the question.
 * @param address where to connect; null = look the host of the URL up.
 * @throws Error where nothing speaks TLS there.
 */
export async function fetchChain(url: URL, address: string | null): Promise<readonly X509Certificate[]> {
  const host = hostOf(url);
  const port = url.port === "" ? 443 : Number(url.port);
  const name = isIP(host) === 0 ? { servername: host } : {};
  const { promise, resolve, reject } = Promise.withResolvers<readonly X509Certificate[]>();
  const socket = connect({ host: address ?? host, port, ...name, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] }, () => {
    resolve(completed(chainOf(socket.getPeerCertificate(true))));
  });
  socket.setTimeout(TIMEOUT_MS, () => reject(new Error(`nothing answers at ${url.host}`)));
  socket.on("error", reject);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

function chainOf(certificate: DetailedPeerCertificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<DetailedPeerCertificate>();
  for (let each = certificate; each?.raw !== undefined && !seen.has(each); each = each.issuerCertificate) {
    seen.add(each);
    chain.push(new X509Certificate(each.raw));
  }
  return chain;
}

/** With the authority of the last certificate, where this host trusts it. */
function completed(chain: readonly X509Certificate[]): readonly X509Certificate[] {
  const last = chain.at(-1);
  if (last === undefined || isAuthority(last)) return chain;
  const known = [...getCACertificates("bundled"), ...getCACertificates("system")].map((pem) => new X509Certificate(pem));
  const authority = known.find((each) => last.checkIssued(each));
  return authority === undefined ? chain : [...chain, authority];
}

/** Whether a certificate is signed by itself, and so ends a chain. */
function isAuthority(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate);
}

/** The authority at the end of a chain; null where nobody knows it. */
export function authorityOf(chain: readonly X509Certificate[]): X509Certificate | null {
  const last = chain.at(-1);
  return last !== undefined && isAuthority(last) ? last : null;
}

/** SHA-256 of a certificate, as RouterOS writes it: hex in lower case. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

/** The key identifiers of a certificate in hex (RFC 5280 §4.2.1.1 and §4.2.1.2); null where it has none. @public */
export function keyIdsOf({ raw }: X509Certificate): { readonly subject: string | null; readonly authority: string | null } {
  return { subject: keyIdAfter(raw, SUBJECT_KEY_ID, 4), authority: keyIdAfter(raw, AUTHORITY_KEY_ID, 6) };
}

/** OBJECT IDENTIFIER 2.5.29.14 and 2.5.29.35. */
const SUBJECT_KEY_ID = Buffer.from([0x06, 0x03, 0x55, 0x1d, 0x0e]);
const AUTHORITY_KEY_ID = Buffer.from([0x06, 0x03, 0x55, 0x1d, 0x23]);

/** @param skipped the bytes of the headers between the identifier and the key id, whose last one is its length. */
function keyIdAfter(der: Buffer, identifier: Buffer, skipped: number): string | null {
  const found = der.indexOf(identifier);
  if (found === -1) return null;
  const start = found + identifier.length + skipped;
  const length = der[start - 1] ?? 0;
  return der.subarray(start, start + length).toString("hex");
}
