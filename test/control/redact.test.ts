import { expect, test } from "vitest";
import { shownConfig, withoutSecrets } from "../../src/control/redact.ts";

test("tokens, passwords in URLs and their queries are replaced, and nothing else is", () => {
  const written = {
    admin: { token: "0123456789abcdef", hosts: ["fenliu.lan"] },
    ddns: { tokens: ["one-secret", "two-secret"] },
    cluster: { redis: "redis://user:pass@10.0.0.1:6379/0" },
    upstreams: { far: { servers: ["https://1.1.1.1/dns-query"], proxy: "socks5://me:p%40ss@127.0.0.1:7890" } },
    lists: { ads: { domains: ["https://lists.example/ads.txt?key=secret"] } },
    log: { queries: { clients: "full" } },
    access: { clients: ["private", "tv"] },
  };
  const shown = withoutSecrets(written);
  expect(shown).toEqual({
    ...written,
    admin: { token: "***", hosts: ["fenliu.lan"] },
    ddns: { tokens: ["***", "***"] },
    cluster: { redis: "redis://user:***@10.0.0.1:6379/0" },
    upstreams: { far: { servers: ["https://1.1.1.1/dns-query"], proxy: "socks5://me:***@127.0.0.1:7890" } },
    lists: { ads: { domains: ["https://lists.example/ads.txt?***"] } },
  });
});

test("a user without a password is a token", () => {
  expect(withoutSecrets({ lists: { ads: { domains: ["https://token@lists.example/ads.txt"] } } })).toEqual({
    lists: { ads: { domains: ["https://***@lists.example/ads.txt"] } },
  });
});

test("no token is no secret", () => {
  expect(withoutSecrets({ admin: { token: null } })).toEqual({ admin: { token: null } });
});

test("a text that refers to itself often is shown whole, and one of comments alone as nothing", () => {
  const rules = Array.from({ length: 150 }, (_, index) => `  - { name: r${index}, domains: *all, answer: nodata }\n`);
  const text = `rules:\n  - { name: r, domains: &all [&one a.example, *one], answer: nodata }\n${rules.join("")}`;
  expect(shownConfig(text)).toMatchObject({ rules: Array(151).fill({ domains: ["a.example", "a.example"] }) });
  expect(shownConfig("# nothing\n")).toEqual({});
});
