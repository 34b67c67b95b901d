import { hash, timingSafeEqual } from "node:crypto";

/**
 * Whether an Authorization header carries the token (RFC 6750 §2.1). Digests are compared, in constant time, so that neither the token nor its
 * length can be found out by measuring.
 */
export function tokenChecker(token: string): (authorization: string | undefined) => boolean {
  const wanted = digest(token);
  return (authorization) => {
    const [, given] = /^bearer +(\S+) *$/i.exec(authorization ?? "") ?? [];
    return given !== undefined && timingSafeEqual(digest(given), wanted);
  };
}

function digest(text: string): Buffer {
  return hash("sha256", text, "buffer");
}
