import { X509Certificate } from "node:crypto";
import { getCACertificates } from "node:tls";
import { expect, test } from "vitest";
import { trustSystemCertificates } from "../../src/lib/roots.ts";

test("the roots of Node and those of the system are both trusted, each once", async () => {
  const known = (["bundled", "system", "extra"] as const).flatMap((kind) => fingerprints(getCACertificates(kind)));
  await trustSystemCertificates();
  const trusted = fingerprints(getCACertificates("default"));
  expect(trusted.toSorted()).toEqual([...new Set(known)].toSorted());
});

function fingerprints(certificates: readonly string[]): string[] {
  return certificates.map((pem) => new X509Certificate(pem).fingerprint256);
}
