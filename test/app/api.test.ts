import { describe, expect, test } from "vitest";
import { siteWith, type TestSite } from "../site.ts";
import { honest } from "../zone-script.ts";

function house(yaml = ""): Promise<TestSite> {
  return siteWith({ yaml, admin: true, upstreams: { main: honest("page.example 100 A 192.0.2.7") } });
}

async function json(response: Promise<Response>): Promise<unknown> {
  return (await response).json();
}

describe("the API of a server at work", () => {
  test("what was flushed is asked anew by the next query", async () => {
    const site = await house();
    await site.ask("page.example");
    await site.ask("page.example");
    expect(site.asked()).toEqual(["page.example A"]);
    expect(await json(site.api("cache?name=page.example"))).toMatchObject({
      answers: [{ type: "A", route: "main", outcome: "positive", answers: ["100 A 192.0.2.7"] }],
    });
    const flush = { method: "DELETE", headers: { "content-type": "application/json" } };
    expect(await json(site.api("cache?name=example&subtree=true", flush))).toMatchObject({ flushed: 1 });
    await site.ask("page.example");
    expect(site.asked()).toEqual(["page.example A", "page.example A"]);
  });

  test("a token that a reload sets is wanted from the next call on", async () => {
    const site = await house();
    expect((await site.api("upstreams")).status).toBe(200);
    await site.reload('admin: { token: "a-token-of-the-house" }');
    expect((await site.api("upstreams")).status).toBe(401);
    expect((await site.api("upstreams", { headers: { authorization: "Bearer a-token-of-the-house" } })).status).toBe(200);
  });

  test("metrics tell of the queries, the cache and the upstreams", async () => {
    const site = await house();
    await site.ask("page.example");
    const text = await (await site.api("/metrics")).text();
    expect(text).toMatch(/^fenliu_queries_total\{.*source="upstream".*\} 1$/m);
    expect(text).toMatch(/^fenliu_upstream_up\{.*group="main".*\} 1$/m);
  });
});
