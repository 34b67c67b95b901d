import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { compareServers, type Difference, readRecord, tableOf } from "../import/lab/lab.ts";

/**
 * What other servers did before the servers of the lab is recorded (`test/import/lab/lab.ts FILE --record`), for configurations in the shape of public ones;
 * the Fenliu imported from the same file does the same before the same servers, or the report of the import says what differs.
 */

const CASES = fileURLToPath(new URL("../import/lab/cases/", import.meta.url));
const MAIN_FILES = ["config.yaml", "AdGuardHome.yaml", "smartdns.conf", "dnsmasq.conf", "chinadns-ng.conf"];

/** Names whose answers may differ, and what the report must say of them. */
const TOLD: readonly { readonly names: RegExp; readonly report: string }[] = [
  { names: /(^|\.)(lan|local|arpa)$/, report: "of one label, and of private addresses are answered here" },
  { names: /^[^.]+$/, report: "names of one label" },
  { names: /^[^.]+$/, report: "of one label, and of private addresses are answered here" },
  { names: /(ads|atm|cupid|six)-lab\.com$/, report: "a blocked name is closed for every type" },
  { names: /-mixed\./, report: "all addresses of an answer must be in the list" },
  { names: /^near-foreign\.far-cn\./, report: "must be in the list; one of the first was enough" },
  { names: /-(servfail|refused|drop)\./, report: "is asked when every server of" },
  { names: /^near-(slow900|drop)\./, report: "not after it, and answers when that fails or is slow" },
  { names: /^near-(slow900|drop)\./, report: "was waited for until it came, which ends here with `compare.within`" },
  { names: /^near-(slow900|drop)\./, report: "asked `fallback` after an answer of `nameserver` and not together with it" },
  { names: /-servfail\./, report: "what comes after an empty or failed answer" },
  { names: /^old-lab\.com$/, report: "here it is always an alias" },
  { names: /^(printer\.house|(qz\.)?cname)-lab\.com$/, report: "rewrites did not hold for the client `grown-up`" },
  { names: /typed-lab\.com$/, report: "the modifier `$dnstype=~A` has no equal" },
  { names: /^far-(servfail|nodata|nx|drop|slow900)\./, report: "the first answer of either side counted" },
  { names: /^(nas-lab|qz\.house-lab)\.com$/, report: "AAAA of a name with IPv4 alone" },
  { names: /^office-lab\.com$/, report: "nothing here gives such records, and servers are asked for them" },
];

/**
 * Where a family is preferred, both answers of a slow server come after the same wait: which is the first is chance. And what waits in a program behind a
 * silent server may not have been asked yet when its client gives up.
 */
function isChance({ before, now: { name, type } }: Difference): boolean {
  return (type === "AAAA" && /-slow\d+\./.test(name)) || (before.rcode === "TIMEOUT" && /-drop\./.test(name));
}

describe.concurrent("the import of", () => {
  test.each(readdirSync(CASES))("%s asks the same servers and gets the same answers, or says what differs", async (folder) => {
    const [file = ""] = MAIN_FILES.map((name) => join(CASES, folder, name)).filter((path) => existsSync(path));
    const reference = readRecord(readFileSync(join(CASES, folder, "reference.tsv"), "utf8"));
    const { imported, differences } = await compareServers(file, { reference });
    expect(differences.length).toBe(reference.length);
    const serious = differences.filter((each) => !["equal", "shape", "extra"].includes(each.verdict) && !isChance(each));
    const untold = serious.filter(
      ({ now: { name } }) =>
        !TOLD.some(({ names, report }) => names.test(name) && imported.findings.some(({ what }) => what.includes(report))),
    );
    expect(tableOf(untold)).toMatch(/^\nleak 0, blank 0,/);
    expect(differences.filter(({ verdict }) => verdict === "equal").length).toBeGreaterThan(reference.length / 2);
  });
});
