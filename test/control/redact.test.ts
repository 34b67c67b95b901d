import { expect, test } from "vitest";
import { stringify } from "yaml";
import { shownConfig, withoutQuotedSecrets } from "../../src/control/views.ts";

function shown(written: object, clients: readonly string[] = ["private"]): unknown {
  return shownConfig({ text: stringify(written), access: { clients, rateLimit: null } });
}

test("tokens, passwords in URLs and their queries are replaced, and nothing else is", () => {
  const written = {
    admin: { token: "0123456789abcdef", hosts: ["fenliu.lan"] },
    ddns: { tokens: ["one-secret", "two-secret"] },
    cluster: { redis: "redis://user:pass@10.0.0.1:6379/0" },
    upstreams: { far: { servers: ["https://1.1.1.1/dns-query"], proxy: "socks5://me:p%40ss@127.0.0.1:7890" } },
    lists: { ads: { domains: ["https://lists.example/ads.txt?key=secret"] } },
    log: { queries: { clients: "full" } },
    access: { clients: ["private", "10.0.0.0/8"] },
  };
  expect(shown(written)).toEqual({
    ...written,
    admin: { token: "***", hosts: ["fenliu.lan"] },
    ddns: { tokens: ["***", "***"] },
    cluster: { redis: "redis://user:***@10.0.0.1:6379/0" },
    upstreams: { far: { servers: ["https://1.1.1.1/dns-query"], proxy: "socks5://me:***@127.0.0.1:7890" } },
    lists: { ads: { domains: ["https://lists.example/ads.txt?***"] } },
  });
});

test("an id that admits from anywhere is replaced wherever clients are named; one that admits nobody is not, nor is a rule of that name", () => {
  const written = {
    access: { clients: ["private", "k3y", "10.0.0.5"], rateLimit: { exempt: "k3y" } },
    rules: [{ name: "k3y", clients: ["k3y", "tv"], domains: "k3y", answer: "nodata" }],
    upstreams: { far: { servers: "192.0.2.1", never: { clients: ["k3y"] } } },
    expect: [{ name: "page.example", client: "k3y", rule: "k3y" }],
  };
  expect(shown(written, ["private", "k3y", "10.0.0.5"])).toEqual({
    access: { clients: ["private", "***", "10.0.0.5"], rateLimit: { exempt: "***" } },
    rules: [{ name: "k3y", clients: ["***", "tv"], domains: "k3y", answer: "nodata" }],
    upstreams: { far: { servers: "192.0.2.1", never: { clients: ["***"] } } },
    expect: [{ name: "page.example", client: "***", rule: "k3y" }],
  });
});

test("of a server's URL no path is shown that may be a key, of a list's it is", () => {
  const url = "https://dns.example/ab12cd";
  expect(shown({ upstreams: { far: { servers: [url, { url }] } }, bootstrap: [url], lists: { ads: { domains: url } } })).toEqual({
    upstreams: { far: { servers: ["https://dns.example/***", { url: "https://dns.example/***" }] } },
    bootstrap: ["https://dns.example/***"],
    lists: { ads: { domains: url } },
  });
});

test("a user without a password is a token", () => {
  expect(shown({ lists: { ads: { domains: ["https://token@lists.example/ads.txt"] } } })).toEqual({
    lists: { ads: { domains: ["https://***@lists.example/ads.txt"] } },
  });
});

test("no token is no secret", () => {
  expect(shown({ admin: { token: null } })).toEqual({ admin: { token: null } });
});

test("a text that refers to itself often is shown whole, and one of comments alone as nothing", () => {
  const access = { clients: ["private"], rateLimit: null };
  const rules = Array.from({ length: 150 }, (_, index) => `  - { name: r${index}, domains: *all, answer: nodata }\n`);
  const text = `rules:\n  - { name: r, domains: &all [&one a.example, *one], answer: nodata }\n${rules.join("")}`;
  expect(shownConfig({ text, access })).toMatchObject({ rules: Array(151).fill({ domains: ["a.example", "a.example"] }) });
  expect(shownConfig({ text: "# nothing\n", access })).toEqual({});
});

test("of what is said of a file nothing changes but what is quoted of URLs and what is meant for one", () => {
  const said = "line 1, column 2: unknown key `tokn`; did you mean `token`? See a@b; write `https://192.0.2.1/dns-query`";
  expect(withoutQuotedSecrets(said)).toBe(said);
  expect(withoutQuotedSecrets("`rediss//me:word@cache.lan` is no URL; write `redis://`")).toBe(
    "`***@cache.lan` is no URL; write `redis://`",
  );
});
