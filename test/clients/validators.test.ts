import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dig } from "./clients.ts";
import { type FenliuProcess, QUIET, startFenliu } from "./fenliu.ts";
import { type Nsd, startNsd } from "./nsd.ts";
import { run } from "./processes.ts";
import { Scene } from "./scene.ts";
import { type SignedZone, signZone } from "./signed-zone.ts";
import { startUnbound } from "./unbound.ts";

const NAME = "signed.example";

/** As `startNsd` has it: signatures cover these lines too. */
const APEX = "@ 300 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60\n@ IN NS ns.invalid.\n";

const RECORDS = `
page A 192.0.2.7
page AAAA 2001:db8::7
page HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.7
v4 A 192.0.2.8
www CNAME page
lost CNAME nowhere
*.wild A 192.0.2.9
a.b.deep TXT "empty non-terminals above"
`;

interface Case {
  readonly question: string;
  /** What delv says of it; dig's status through a validator. */
  readonly delv: RegExp;
  readonly status: "NOERROR" | "NXDOMAIN";
}

const validated = /^; fully validated$/m;
const noData = /^; negative response, fully validated$.*ncache nxrrset$/ms;
const noName = /^; negative response, fully validated$.*ncache nxdomain$/ms;

const CASES: readonly Case[] = [
  { question: `page.${NAME} A`, delv: validated, status: "NOERROR" },
  { question: `page.${NAME} HTTPS`, delv: validated, status: "NOERROR" },
  { question: `www.${NAME} AAAA`, delv: validated, status: "NOERROR" },
  { question: `any.wild.${NAME} A`, delv: validated, status: "NOERROR" },
  { question: `v4.${NAME} AAAA`, delv: noData, status: "NOERROR" },
  { question: `v4.${NAME} HTTPS`, delv: noData, status: "NOERROR" },
  { question: `page.${NAME} MX`, delv: noData, status: "NOERROR" },
  { question: `b.deep.${NAME} A`, delv: noData, status: "NOERROR" },
  { question: `any.wild.${NAME} HTTPS`, delv: noData, status: "NOERROR" },
  { question: `nowhere.${NAME} A`, delv: noName, status: "NXDOMAIN" },
  { question: `nobody.${NAME} AAAA`, delv: noName, status: "NXDOMAIN" },
  { question: `nothing.${NAME} HTTPS`, delv: noName, status: "NXDOMAIN" },
  { question: `nix.${NAME} MX`, delv: noName, status: "NXDOMAIN" },
];

describe.each(["NSEC", "NSEC3"] as const)("a zone signed with %s, behind Fenliu", (denial) => {
  const scene = new Scene();
  let zone: SignedZone;
  let nsd: Nsd;
  let fenliu: FenliuProcess;

  beforeAll(async () => {
    zone = await signZone({ folder: join(scene.folder, "keys"), name: NAME, records: RECORDS, denial }, APEX);
    nsd = await scene.add(startNsd({ folder: join(scene.folder, "nsd"), zones: { [NAME]: zone.records } }));
    fenliu = await scene.add(startFenliu(scene.subfolder("fenliu"), configuration()));
  });
  afterAll(() => scene.close());

  // Negatives are lowered to 40 s, below what the zone says, which must cost no signature.
  const configuration = () => `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
upstreams: { main: { servers: ["udp://127.0.0.1:${nsd.port}"] } }
answers: { negative: { max: 40s } }
${QUIET}`;

  async function delv(question: string): Promise<string> {
    const [name = "", type = ""] = question.split(" ");
    const anchors = ["-a", zone.bindAnchorFile, `+root=${NAME}`];
    const { stdout, stderr } = await run("delv", ["@127.0.0.1", "-p", String(fenliu.ports.dns), ...anchors, name, type]);
    return stdout + stderr;
  }

  async function questionsToNsd(): Promise<number> {
    return (await nsd.statistics()).get("num.queries") ?? Number.NaN;
  }

  test("delv verifies every answer, with a cold cache and with a warm one", async () => {
    for (const { question, delv: said } of CASES) expect(await delv(question), question).toMatch(said);
    const before = await questionsToNsd();
    for (const { question, delv: said } of CASES) expect(await delv(question), question).toMatch(said);
    expect(await questionsToNsd()).toBe(before);
  });

  test.each(["cold", "from the cache"])("a validating unbound verifies every answer, %s", async (state) => {
    if (state === "cold") {
      await fenliu.stop();
      fenliu = await scene.add(startFenliu(scene.subfolder("cold"), configuration()));
    }
    const before = await questionsToNsd();
    const unbound = await startUnbound({
      folder: scene.subfolder(`unbound ${state}`.replaceAll(" ", "-")),
      forwardTo: fenliu.ports.dns,
      server: ['module-config: "validator iterator"', `trust-anchor-file: "${zone.anchorFile}"`],
    });
    try {
      for (const { question, status } of CASES) {
        const heard = await dig(unbound.port, `+dnssec ${question}`);
        expect(heard, question).toMatchObject({ status, flags: "qr rd ra ad" });
      }
    } finally {
      await unbound.stop();
    }
    if (state === "from the cache") expect(await questionsToNsd()).toBe(before);
    else expect(await questionsToNsd()).toBeGreaterThan(before);
  });

  test("with DO only the TTL of the SOA is lowered; without DO its MINIMUM too", async () => {
    const signed = await dig(fenliu.ports.dns, `+dnssec fresh-1.${NAME} MX`);
    expect(signed.authority.find((line) => line.includes(" IN SOA "))).toBe(
      `${NAME}. 40 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60`,
    );
    const plain = await dig(fenliu.ports.dns, `fresh-2.${NAME} MX`);
    expect(plain.authority).toEqual([`${NAME}. 40 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 40`]);
  });
});
