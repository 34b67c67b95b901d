import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { compareServers, type Difference, readRecord, tableOf } from "../import/lab/lab.ts";

/**
 * What other servers did before the servers of the lab is recorded (`test/import/lab/lab.ts FILE --record`); the Fenliu imported from the same file does
 * the same before the same servers, or the report of the import says what differs.
 */

const cases = fileURLToPath(new URL("../import/lab/cases/", import.meta.url));

/** What may differ, and what the report must say of it. */
const TOLD: readonly { readonly what: (difference: Difference) => boolean; readonly report: string }[] = [
  {
    what: ({ now: { name } }) => /(^|\.)(lan|local|arpa)$|^[^.]+$/.test(name),
    report: "of one label, and of private addresses are answered here",
  },
  { what: ({ now: { name } }) => name.endsWith("ads-lab.com"), report: "closed for every type" },
  { what: ({ now: { name } }) => /-mixed\./.test(name), report: "all addresses of an answer must be in the list" },
];

describe.each(["mosdns/config.yaml", "dnsmasq/dnsmasq.conf", "smartdns/smartdns.conf", "adguardhome/AdGuardHome.yaml"])(
  "the import of %s",
  (file) => {
    test("asks the same servers and gets the same answers, or says what differs", async () => {
      const reference = readRecord(readFileSync(`${cases}${file.replace(/\/.*/, "")}/reference.tsv`, "utf8"));
      const { imported, differences } = await compareServers(`${cases}${file}`, { reference });
      expect(differences.length).toBe(reference.length);
      const serious = differences.filter(({ verdict }) => !["equal", "shape", "extra"].includes(verdict));
      const untold = serious.filter((each) => {
        const told = TOLD.find(({ what }) => what(each));
        return told === undefined || !imported.findings.some(({ what }) => what.includes(told.report));
      });
      expect(tableOf(untold)).toMatch(/^\nleak 0, blank 0,/);
      expect(differences.filter(({ verdict }) => verdict === "equal").length).toBeGreaterThan(reference.length / 2);
    });
  },
);
