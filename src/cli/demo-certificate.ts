import { generateKeyPairSync, sign } from "node:crypto";

const DAY_MS = 86_400_000;

/**
 * A self-signed certificate for localhost and 127.0.0.1 (RFC 5280), in PEM: Node can sign, but makes no certificates.
 * @param days until it expires.
 */
export function makeCertificate(days: number, nowWallMs: number): { readonly cert: string; readonly key: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signatureAlgorithm = sequence(objectId(ECDSA_WITH_SHA256));
  const name = sequence(element(0x31, sequence(objectId(COMMON_NAME), element(0x0c, Buffer.from("localhost")))));
  const names = sequence(element(0x82, Buffer.from("localhost")), element(0x87, Buffer.from([127, 0, 0, 1])));
  const certificate = sequence(
    element(0xa0, element(0x02, Buffer.from([2]))),
    element(0x02, Buffer.from([1])),
    signatureAlgorithm,
    name,
    sequence(time(nowWallMs - 60 * DAY_MS), time(nowWallMs + days * DAY_MS)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    element(0xa3, sequence(sequence(objectId(SUBJECT_ALT_NAME), element(0x04, names)))),
  );
  const signature = sign("sha256", certificate, privateKey);
  const whole = sequence(certificate, signatureAlgorithm, element(0x03, Buffer.concat([Buffer.from([0]), signature])));
  return { cert: pem(whole), key: String(privateKey.export({ type: "pkcs8", format: "pem" })) };
}

/** Object identifiers, encoded. */
const ECDSA_WITH_SHA256 = "2a8648ce3d040302";
const COMMON_NAME = "550403";
const SUBJECT_ALT_NAME = "551d11";

function objectId(hex: string): Buffer {
  return element(0x06, Buffer.from(hex, "hex"));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return element(0x30, ...parts);
}

/** Tag, length and content (X.690 §8.1). */
function element(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), content]);
}

/** UTCTime: years before 2050. */
function time(wallMs: number): Buffer {
  const digits = new Date(wallMs).toISOString().replace(/\D/g, "").slice(2, 14);
  return element(0x17, Buffer.from(`${digits}Z`));
}

function pem(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
}
