import { expect, test } from "vitest";
import { stringify } from "yaml";
import { listView, shownConfig, withoutQuotedSecrets } from "../../src/control/views.ts";

function shown(written: object, clients: readonly string[] = ["private"]): unknown {
  return shownConfig({ text: stringify(written), access: { clients, rateLimit: null } });
}

test("tokens, passwords and queries of URLs are hidden, and nothing else", () => {
  const written = {
    admin: { token: "0123456789abcdef", hosts: ["fenliu.lan"] },
    ddns: { tokens: [{ token: "one-secret", names: ["home.example.com"] }] },
    cluster: { redis: "redis://user:pass@10.0.0.1:6379/0" },
    upstreams: { far: { servers: ["https://1.1.1.1/dns-query"], proxy: "socks5://me:p%40ss@127.0.0.1:7890" } },
    lists: { ads: { domains: ["https://lists.example/ads.txt?key=secret"] } },
    log: { queries: { clients: "full" } },
    access: { clients: ["private", "10.0.0.0/8"] },
  };
  expect(shown(written)).toEqual({
    ...written,
    admin: { token: "***", hosts: ["fenliu.lan"] },
    ddns: { tokens: [{ token: "***", names: ["home.example.com"] }] },
    cluster: { redis: "redis://user:***@10.0.0.1:6379/0" },
    upstreams: { far: { servers: ["https://1.1.1.1/dns-query"], proxy: "socks5://me:***@127.0.0.1:7890" } },
    lists: { ads: { domains: ["https://lists.example/ads.txt?***"] } },
  });
});

test("a client id that gives access from any address is hidden wherever clients are named; other ids and rules of that name are shown", () => {
  const written = {
    access: { clients: ["private", "k3y", "10.0.0.5"], rateLimit: { exempt: "k3y" } },
    rules: [{ name: "k3y", clients: ["k3y", "!k3y", "tv"], domains: "k3y", answer: "nodata" }],
    upstreams: { far: { servers: "192.0.2.1", never: { clients: ["k3y"] } } },
    expect: [{ name: "page.example", client: "k3y", rule: "k3y" }],
  };
  expect(shown(written, ["private", "k3y", "10.0.0.5"])).toEqual({
    access: { clients: ["private", "***", "10.0.0.5"], rateLimit: { exempt: "***" } },
    rules: [{ name: "k3y", clients: ["***", "***", "tv"], domains: "k3y", answer: "nodata" }],
    upstreams: { far: { servers: "192.0.2.1", never: { clients: ["***"] } } },
    expect: [{ name: "page.example", client: "***", rule: "k3y" }],
  });
});

test("a path that may be a key is hidden in URLs of servers and shown in URLs of lists", () => {
  const url = "https://dns.example/ab12cd";
  expect(shown({ upstreams: { far: { servers: [url, { url }] } }, bootstrap: [url], lists: { ads: { domains: url } } })).toEqual({
    upstreams: { far: { servers: ["https://dns.example/***", { url: "https://dns.example/***" }] } },
    bootstrap: ["https://dns.example/***"],
    lists: { ads: { domains: url } },
  });
});

test("a user without a password in a URL is hidden like a token", () => {
  expect(shown({ lists: { ads: { domains: ["https://token@lists.example/ads.txt"] } } })).toEqual({
    lists: { ads: { domains: ["https://***@lists.example/ads.txt"] } },
  });
});

test("an absent token is shown as null", () => {
  expect(shown({ admin: { token: null } })).toEqual({ admin: { token: null } });
});

test("a text with many aliases is shown whole, and a text of comments as an empty object", () => {
  const access = { clients: ["private"], rateLimit: null };
  const rules = Array.from({ length: 150 }, (_, index) => `  - { name: r${index}, domains: *all, answer: nodata }\n`);
  const text = `rules:\n  - { name: r, domains: &all [&one a.example, *one], answer: nodata }\n${rules.join("")}`;
  expect(shownConfig({ text, access })).toMatchObject({ rules: Array(151).fill({ domains: ["a.example", "a.example"] }) });
  expect(shownConfig({ text: "# nothing\n", access })).toEqual({});
});

test("a message changes only in quoted URLs and quoted texts that may be meant as URLs", () => {
  const said = "line 1, column 2: unknown key `tokn`; did you mean `token`? See a@b; write `https://192.0.2.1/dns-query`";
  expect(withoutQuotedSecrets(said)).toBe(said);
  expect(withoutQuotedSecrets("`rediss//me:word@cache.lan` is no URL; write `redis://`")).toBe(
    "`***@cache.lan` is no URL; write `redis://`",
  );
});

test("the sources of a list are shown without their secrets", () => {
  const source = {
    source: "https://me:word@lists.example/ads.txt?key=secret",
    servedFrom: "nothing",
    bytes: 0,
    sha256: null,
    entries: 0,
    warningCount: 0,
    warnings: [],
    problem: null,
    changedWallMs: null,
    mistake: null,
    checkedWallMs: null,
    downloadProblem: {
      reason: "page.example A for k3y: expected rule none, got rule ads; rule ads decides by a, line 1 of list ads",
      held: true,
      sinceWallMs: 0,
    },
  } as const;
  expect(listView({ name: "ads", kind: "domains", size: 0, sources: [source] }, { clients: ["k3y"] }).sources).toMatchObject([
    {
      source: "https://me:***@lists.example/ads.txt?***",
      downloadProblem: {
        reason: expect.stringMatching(/ for \*\*\*: /),
      },
    },
  ]);
});
