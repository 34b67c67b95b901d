import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { run } from "./processes.ts";
import { Scene } from "./scene.ts";

const scene = new Scene();
let fenliu: FenliuProcess;
beforeAll(async () => {
  await makeCertificate(scene.folder);
  const listen = `listen: { dns: [], http: [], tls: ["127.0.0.1:0"], https: ["127.0.0.1:0"], admin: null }`;
  fenliu = await scene.add(startFenliu(scene.folder, `${listen}\ntls: { cert: fullchain.pem, key: privkey.pem }${QUIET}`));
});
afterAll(() => scene.close());

/** What `openssl s_client` says of a handshake; at security level 0 the client itself refuses nothing. */
async function handshake(kind: "tls" | "https", ...options: readonly string[]): Promise<string> {
  const args = ["s_client", "-connect", `127.0.0.1:${fenliu.ports[kind]}`, "-servername", "localhost", ...options];
  const { stdout, stderr } = await run("sh", ["-c", 'exec openssl "$@" </dev/null', "sh", ...args]);
  return stdout + stderr;
}

const MADE = /Cipher is (?!\(NONE\))/;

describe.each(["tls", "https"] as const)("the TLS of listen.%s", (kind) => {
  test.each(["-tls1_2", "-tls1_3"])("is spoken with %s, without compression", async (version) => {
    const said = await handshake(kind, version);
    expect(said).toMatch(MADE);
    expect(said).toContain("Compression: NONE");
  });

  test.each(["-tls1", "-tls1_1"])("is not spoken with %s", async (version) => {
    expect(await handshake(kind, version, "-cipher", "ALL:@SECLEVEL=0")).not.toMatch(MADE);
  });

  test.each(["eNULL", "aNULL", "RC4", "3DES", "DES", "MD5", "PSK", "SRP", "CAMELLIA", "SEED", "IDEA", "kRSA"])(
    "takes no cipher of %s",
    async (cipher) => {
      expect(await handshake(kind, "-tls1_2", "-cipher", `${cipher}:@SECLEVEL=0`)).not.toMatch(MADE);
    },
  );

  test("has forward secrecy, and is not renegotiated", async () => {
    expect(await handshake(kind, "-tls1_2")).toMatch(/Cipher\s+: ECDHE-/);
    const args = ["-c", `printf 'R\\n' | openssl s_client -tls1_2 -connect 127.0.0.1:${fenliu.ports[kind]} 2>&1`];
    const { stdout } = await run("sh", args);
    expect(stdout).toMatch(/no renegotiation|RENEGOTIATING[\s\S]*(alert|error|unexpected)/i);
  });

  test("takes no early data", async () => {
    const said = await handshake(kind, "-tls1_3");
    expect(said).toMatch(/Early data was not sent|Max Early Data: 0/);
  });
});
