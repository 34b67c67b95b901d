import { describe, expect, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import { file } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { empty, honest, respond, silent } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";

/** A proxy as mihomo is one: an address of its own for every name, in the order of asking, and nothing else. A new one begins from scratch. */
function fakeIps(): Script {
  const given = new Map<string, string>();
  return (asked) => {
    if (asked.type !== TYPE.A) return empty(asked);
    const address = given.get(asked.name) ?? `198.18.0.${given.size + 1}`;
    given.set(asked.name, address);
    return respond(asked, { answers: zone(`${asked.name} 1 A ${address}`) });
  };
}

function siteOf(rules: string): Promise<TestSite> {
  return siteWith({
    upstreams: {
      domestic: honest("home.example 100 A 192.0.2.7", "away.example 100 A 198.51.100.7"),
      // Over plain UDP the first answer would be outwaited, as one that may be forged.
      proxy: { servers: [fakeIps()], transport: "tls" },
    },
    yaml: `lists: { near: { addresses: "${file("near.txt", ["192.0.2.0/24"])}" } }
answers: { rebinding: nodata }
${rules}`,
  });
}

const comparing = "rules: [{ name: others, compare: { near: domestic, far: proxy, keepNearIf: 'list:near' } }]";

describe("an upstream that invents addresses (fake-ip)", () => {
  test("is passed on unchanged with its short TTL, also under rebinding protection", async () => {
    const site = await siteOf("rules: [{ name: all, upstream: proxy }]");
    expect(await site.ask("one.example")).toMatchObject({ answers: ["198.18.0.1"], ttl: 1 });
    expect(await site.ask("two.example")).toMatchObject({ answers: ["198.18.0.2"] });
    expect(await site.ask("one.example", "AAAA")).toMatchObject({ rcode: "NOERROR", answers: [] });
    expect(await site.ask("one.example")).toMatchObject({ answers: ["198.18.0.1"] });
  });

  test("is believed at once after a restart: its old addresses are not sent after their TTL", async () => {
    const site = await siteOf("rules: [{ name: all, upstream: proxy }]");
    expect(await site.ask("one.example")).toMatchObject({ answers: ["198.18.0.1"] });
    expect(await site.ask("two.example")).toMatchObject({ answers: ["198.18.0.2"] });
    site.server("proxy").follow(fakeIps());
    await site.clock.advance(1000);
    expect(await site.ask("two.example")).toMatchObject({ answers: ["198.18.0.1"] });
  });

  test("leaves no stale address behind when it is gone", async () => {
    const site = await siteOf("rules: [{ name: all, upstream: proxy }]");
    await site.ask("one.example");
    site.server("proxy").follow(() => silent);
    await site.clock.advance(1000);
    const asking = site.ask("one.example");
    await site.until(() => site.asked("proxy").length === 2);
    await site.clock.advance(4000);
    expect(await asking).toMatchObject({ rcode: "SERVFAIL", answers: [] });
  });

  test("can be the far side: its verdict is kept, its address is not", async () => {
    const site = await siteOf(comparing);
    expect(await site.ask("home.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect((await site.ask("away.example")).answers).toEqual([expect.stringMatching(/^198\.18\.0\./)]);
    site.server("proxy").follow(fakeIps());
    await site.clock.advance(1000);
    const known = site.asked("domestic").length;
    expect(await site.ask("away.example")).toMatchObject({ answers: ["198.18.0.1"] });
    expect(site.asked("domestic")).toHaveLength(known);
  });
});
