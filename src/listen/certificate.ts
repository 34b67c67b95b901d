import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { errorText } from "../lib/text.ts";
import type { TlsOptions } from "./options.ts";

/** A certificate chain and its private key, in PEM. */
export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** What is known of a certificate that can be used. */
export interface Certificate {
  /** When it ends, in milliseconds since 1970. */
  readonly expiresWallMs: number;
  /** How long before its end a renewal is overdue. */
  readonly renewalMs: number;
  /** Names by which clients may know this server: those of `tls.name`, else the certificate's names without wildcards, in lower case. */
  readonly names: readonly string[];
  /** What some clients will not accept, one sentence each. */
  readonly warnings: readonly string[];
}

/** A renewal comes weeks before the end: certificates of 90 days are renewed in their last third. */
const LATE_RENEWAL_MS = 14 * 86_400_000;

/**
 * Reads a certificate and its key.
 * @throws Error when no client could use them: they are no PEM, do not belong together, or the certificate has ended.
 */
export function readCertificate(pair: KeyPair, { cert, key, name }: TlsOptions, nowWallMs: number): Certificate {
  const leaf = parseLeaf(pair, cert);
  if (!leaf.checkPrivateKey(parseKey(pair, key)))
    throw new Error(
      `${cert} and ${key} cannot be used: the key is that of another certificate; name the two files of one renewal`,
    );
  const expiresWallMs = leaf.validToDate.getTime();
  if (expiresWallMs <= nowWallMs)
    throw new Error(`${cert} has expired on ${utcDay(expiresWallMs)}: renew it, and look why it was not renewed by itself`);
  try {
    createSecureContext(pair);
  } catch (error) {
    throw new Error(`${cert} and ${key} cannot be used: ${errorText(error)}`);
  }
  const lifetimeMs = expiresWallMs - leaf.validFromDate.getTime();
  return {
    expiresWallMs,
    renewalMs: Math.min(LATE_RENEWAL_MS, lifetimeMs / 3),
    names: name === null ? plainNames(leaf) : [name.toLowerCase()],
    warnings: warningsOf(leaf, { pair, cert, name, nowWallMs }),
  };
}

function parseLeaf({ cert }: KeyPair, path: string): X509Certificate {
  try {
    return new X509Certificate(cert);
  } catch (error) {
    throw new Error(`${path} cannot be used: it holds no certificate in PEM (${errorText(error)})`);
  }
}

function parseKey({ key }: KeyPair, path: string) {
  try {
    return createPrivateKey(key);
  } catch (error) {
    throw new Error(`${path} cannot be used: it holds no private key in PEM, or one with a password (${errorText(error)})`);
  }
}

interface WarningContext {
  readonly pair: KeyPair;
  readonly cert: string;
  readonly name: string | null;
  readonly nowWallMs: number;
}

function warningsOf(leaf: X509Certificate, { pair, cert, name, nowWallMs }: WarningContext): readonly string[] {
  const warnings: string[] = [];
  const startsWallMs = leaf.validFromDate.getTime();
  if (startsWallMs > nowWallMs)
    warnings.push(`${cert} is valid from ${utcDay(startsWallMs)} only: if that is past, the clock of this host is wrong`);
  const chain = pair.cert.toString("latin1").match(/-----BEGIN CERTIFICATE-----/g) ?? [];
  if (chain.length === 1 && !isSelfIssued(leaf))
    warnings.push(
      `${cert} has no intermediate certificate: clients that do not know its issuer (${commonName(leaf.issuer)}) will not accept it; use fullchain.pem`,
    );
  if (leaf.subjectAltName === undefined)
    warnings.push(`${cert} names no host in its subject alternative names: no client of today accepts it`);
  else if (name !== null && leaf.checkHost(name) === undefined)
    warnings.push(`${cert} is not for ${name} (tls.name): it is for ${leaf.subjectAltName}`);
  return warnings;
}

function isSelfIssued(leaf: X509Certificate): boolean {
  return leaf.issuer === leaf.subject;
}

function commonName(subject: string): string {
  return /^CN=(.*)$/m.exec(subject)?.[1] ?? subject.replaceAll("\n", ", ");
}

function plainNames({ subjectAltName = "" }: X509Certificate): readonly string[] {
  return [...subjectAltName.matchAll(/\bDNS:([^,*]+)(?:,|$)/g)].map(([, name = ""]) => name.toLowerCase());
}

/** `2026-11-21` */
export function utcDay(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, "2026-11-21".length);
}

/**
 * The client id in a server name that a client asks for by TLS: `tv` in `tv.doh.example.com`, where the certificate's name is `doh.example.com`.
 * Android's Private DNS knows no paths, so that an id can stand nowhere else. null = the server name has no id.
 */
export function clientIdOf(
  serverName: string | boolean | null | undefined,
  { names }: Pick<Certificate, "names">,
): string | null {
  if (typeof serverName !== "string") return null;
  const asked = serverName.toLowerCase();
  if (names.includes(asked)) return null;
  const dot = asked.indexOf(".");
  const label = asked.slice(0, dot);
  return dot > 0 && /^[a-z0-9-]{1,63}$/.test(label) && names.includes(asked.slice(dot + 1)) ? label : null;
}
