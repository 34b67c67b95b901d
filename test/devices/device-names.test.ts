import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { DeviceNames, readLeases } from "../../src/devices/device-names.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { anyString, runs } from "../support/properties.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const LEASES = `1764429000 AA:BB:CC:00:00:01 10.0.0.7 Living-Room_TV 01:aa:bb:cc:00:00:01
1764429000 aa:bb:cc:00:00:02 10.0.0.8 * *
duid 00:01:00:01:2c:aa:bb:cc:00:00:00:00:00:01
1764429000 1234567 fd00::7 tv6 00:01:00:01
`;

describe("a lease file of dnsmasq", () => {
  test("tells name and MAC of each address; other lines are passed over", () => {
    expect(readLeases(`${LEASES}nonsense\n5 x y\n`, "leases")).toEqual([
      { address: "10.0.0.7", name: "living-room-tv", mac: "aa:bb:cc:00:00:01", source: "leases" },
      { address: "10.0.0.8", name: null, mac: "aa:bb:cc:00:00:02", source: "leases" },
      { address: "fd00::7", name: "tv6", mac: null, source: "leases" },
    ]);
  });

  test("whatever it holds, a name has the form of a client id", () => {
    const word = fc.oneof(anyString(), fc.constantFrom("10.0.0.7", "fd00::7", "1764429000", "aa:bb:cc:00:00:01", "*"));
    fc.assert(
      fc.property(
        fc.array(
          fc.array(word, { maxLength: 5 }).map((words) => words.join(" ")),
          { maxLength: 4 },
        ),
        (lines) => {
          for (const { name } of readLeases(lines.join("\n"), "leases"))
            expect(name ?? "x").toMatch(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
        },
      ),
      { numRuns: runs(300) },
    );
  });
});

const DEVICE = { port: 5000, transport: "udp", http: null, method: null, clientId: null } as const;

test("the router tells names of leases, and by MAC those of further addresses; files go before it; a fault keeps what was known", async () => {
  const clock = fakeClock();
  const folder = directory();
  const leases = join(folder, "leases");
  writeFileSync(leases, LEASES);
  const warnings: string[] = [];
  let rows: readonly { address: string; mac: string; name: string }[] = [
    { address: "10.0.0.9", mac: "AA:BB:CC:00:00:09", name: "Küche" },
    { address: "10.0.0.7", mac: "AA:BB:CC:00:00:01", name: "other" },
    { address: "2001:db8::9", mac: "AA:BB:CC:00:00:09", name: "" },
  ];
  let isGone = false;
  const names = await DeviceNames.open({
    clock,
    leases: [leases],
    askRouter: async () => {
      if (isGone) throw new Error("it is gone");
      return rows;
    },
    routerAddresses: ["10.0.0.1"],
    warn: (kind) => warnings.push(kind),
  });
  onTestFinished(() => names.close());
  await clock.advance(0);
  const of = (address: string, clientId: string | null = null) => {
    const { clientId: id, mac = null } = names.identify({ ...DEVICE, address, clientId });
    return [id, mac];
  };
  expect(of("10.0.0.7")).toEqual(["living-room-tv", "aa:bb:cc:00:00:01"]);
  expect(of("10.0.0.9")).toEqual(["k-che", "aa:bb:cc:00:00:09"]);
  expect(of("2001:db8::9")).toEqual(["k-che", "aa:bb:cc:00:00:09"]);
  expect(of("10.0.0.7", "phone")).toEqual(["phone", "aa:bb:cc:00:00:01"]);
  expect(of("10.0.0.77")).toEqual([null, null]);
  of("10.0.0.1");
  of("10.0.0.1");
  expect(warnings).toEqual(["devices: the router asks for those behind it, so that they cannot be told apart"]);
  isGone = true;
  rows = [];
  rmSync(leases);
  await clock.advance(60_000);
  expect(of("10.0.0.9")[0]).toBe("k-che");
  expect(of("10.0.0.7")[0]).toBe("living-room-tv");
  expect(warnings).toContain("devices: the router does not tell its leases");
  await expect.poll(() => warnings).toContain("devices: a lease file cannot be read");
});

describe("a device in the house", () => {
  test("is known to rules by the name of its lease and by its MAC address, to the log and to explain; its name admits nobody", async () => {
    const folder = directory();
    const leases = join(folder, "leases");
    writeFileSync(leases, LEASES);
    const yaml = `devices: { leases: ${leases} }
rules:
  - { name: tv, clients: [living-room-tv], answer: zero }
  - { name: mac, clients: ["AA:BB:CC:00:00:02"], answer: nodata }
access: { clients: [127.0.0.0/8, 10.0.0.7, 10.0.0.8, visitor] }`;
    const site = await siteWith({ yaml, folder, upstreams: { main: honest("page.example A 192.0.2.7") } });
    expect(await site.ask("page.example", "A", { client: "10.0.0.7" })).toMatchObject({ answers: ["0.0.0.0"] });
    expect(await site.ask("page.example", "A", { client: "10.0.0.8" })).toMatchObject({ rcode: "NOERROR", answers: [] });
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    appendFileSync(leases, "1764429000 aa:bb:cc:00:00:03 10.0.0.9 visitor *\n");
    await site.clock.advance(10_000);
    await site.until(() => site.app.administration.control.devices().length === 4);
    expect(await site.ask("page.example", "A", { client: "10.0.0.9" })).toMatchObject({ rcode: "REFUSED" });
    const { control } = site.app.administration;
    const question = { name: "page.example", type: "A", client: "10.0.0.7", clientId: null, resolve: false, version: null };
    const { decision, notes } = await control.explain(question);
    expect(decision.rule).toBe("tv");
    expect(notes.map(({ text }) => text).join()).toContain("10.0.0.7 is living-room-tv (MAC address aa:bb:cc:00:00:01; ");
  });
});
