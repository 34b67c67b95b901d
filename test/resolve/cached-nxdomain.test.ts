import { describe, expect, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import { type Workbench, workbenchWith } from "../support/workbench.ts";
import { deny, empty, honest, respond } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";

/** Every name but host.example is an alias of it, and nobody has that. */
const dangling: Script = (asked) =>
  asked.name === "host.example"
    ? deny(asked)
    : respond(asked, {
        rcode: 3,
        answers: zone(`${asked.name} 300 CNAME host.example`),
        authority: zone("example 50 SOA ns.example hostmaster.example 1 2 3 4 50"),
      });

const denied = { rcode: "NXDOMAIN" };
const guarded = { rcode: "NOERROR", answers: [], soa: { owner: "example" } };

describe("a cached NXDOMAIN at the end of an alias chain is not sent once the last name is proven to exist", () => {
  async function benchWith(...held: readonly string[]): Promise<Workbench> {
    const bench = await workbenchWith({ upstreams: { main: [dangling] } });
    for (const name of held) {
      expect(await bench.ask(name, "MX")).toMatchObject({ source: "upstream", reply: denied });
      expect(await bench.ask(name, "MX")).toMatchObject({ source: "cache", reply: denied });
    }
    return bench;
  }

  test.each<[string, Script, string, string]>([
    ["a positive answer of its own", honest("host.example 100 TXT here"), "host.example", "TXT"],
    ["a NODATA with SOA", empty, "host.example", "TXT"],
    [
      "a positive answer through another alias",
      honest("b.example 100 CNAME host.example", "host.example 100 A 192.0.2.9"),
      "b.example",
      "A",
    ],
  ])("by %s", async (_, script, name, type) => {
    const bench = await benchWith("a.example");
    bench.follow("main", [script]);
    expect(await bench.ask(name, type)).toMatchObject({ source: "upstream", reply: { rcode: "NOERROR" } });
    bench.follow("main", [dangling]);
    expect(await bench.ask("a.example", "MX")).toMatchObject({ action: "nxdomain:guarded", reply: guarded });
  });

  test("for any number of aliases with that end", async () => {
    const names = Array.from({ length: 100 }, (_, index) => `a${index}.example`);
    const bench = await benchWith(...names);
    bench.follow("main", [(asked) => (asked.type === TYPE.TXT ? honest("host.example 100 TXT here")(asked) : dangling(asked))]);
    expect(await bench.ask("host.example", "TXT")).toMatchObject({ reply: { answers: ['"here"'] } });
    for (const name of names) {
      expect(await bench.ask(name, "MX"), name).toMatchObject({ action: "nxdomain:guarded", reply: guarded });
    }
  });

  test("and is sent while there is no proof: a failure and another route prove nothing", async () => {
    const bench = await workbenchWith({
      upstreams: { main: [dangling], other: [honest("host.example TXT here")] },
      yaml: "rules: [{ name: r, types: [TXT], upstream: other }]",
    });
    await bench.ask("a.example", "MX");
    expect(await bench.ask("host.example", "TXT")).toMatchObject({ reply: { answers: ['"here"'] } });
    expect(await bench.ask("a.example", "MX")).toMatchObject({ source: "cache", action: "none", reply: denied });
  });
});
