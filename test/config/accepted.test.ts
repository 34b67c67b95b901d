import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Value } from "typebox/value";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { jsonSchema } from "../../src/config/file.ts";
import { loadConfig, parseConfig } from "../../src/config/load.ts";
import { printProblems } from "../../src/config/reading.ts";
import type { Config } from "../../src/config/types.ts";
import { site } from "./site.ts";

/** The configuration that `text` stands for; a problem in it fails the test. */
function accepted(text: string): Config {
  const result = parseConfig(text, "fenliu.yaml");
  if (result.kind === "invalid") throw new Error(printProblems(result.problems, text));
  return result.config;
}

describe("a file that uses every section", () => {
  test("is accepted without a warning", () => {
    using here = site();
    expect(loadConfig(here.path)).toMatchObject({ kind: "ok", warnings: [], config: { path: here.path } });
  });

  test("is accepted by the schema that editors use", () => {
    const raw: unknown = parse(readFileSync(join(import.meta.dirname, "full.yaml"), "utf8"));
    expect(Value.Errors(jsonSchema(), raw)).toEqual([]);
  });

  test("has its paths made absolute, from the directory of the file", () => {
    using here = site();
    const result = loadConfig(here.path);
    expect(result).toMatchObject({
      config: {
        tls: { cert: join(here.directory, "fullchain.pem"), key: join(here.directory, "privkey.pem") },
        hosts: { files: [join(here.directory, "rules/hosts.txt")] },
        cache: { file: join(here.directory, "data/cache.db") },
        log: { queries: { store: join(here.directory, "data/queries.db") } },
        routeros: { passwordFile: join(here.directory, "secrets/routeros") },
      },
    });
  });

  test("has its durations in ms or seconds and its sizes in bytes", () => {
    using here = site();
    expect(loadConfig(here.path)).toMatchObject({
      config: {
        answers: {
          ttl: { minSeconds: 0, maxSeconds: 86_400 },
          negative: { minSeconds: 1, maxSeconds: 60, blockSeconds: 60, bareSeconds: 10, failureSeconds: 5 },
          deadlineMs: 4000,
        },
        cache: { sizeBytes: 67_108_864, stale: { keepMs: 86_400_000, afterMs: 1800, ttlSeconds: 30, recheckMs: 30_000 } },
        log: { queries: { keepMs: 604_800_000, maxRows: 5_000_000 } },
        hosts: { ttlSeconds: 60 },
      },
    });
  });

  test("keeps hosts in file order, in each form they may be written", () => {
    using here = site();
    const result = loadConfig(here.path);
    expect(result.kind === "ok" && result.config.hosts.records).toEqual([
      { name: "nas.lan", addresses: ["10.0.0.5"], cname: null, others: "nodata", https: null },
      { name: "*.apps.lan", addresses: ["10.0.0.6", "fd00::6"], cname: null, others: "nodata", https: null },
      { name: "doh.example.com", addresses: ["10.0.0.2"], cname: null, others: "nodata", https: null },
      { name: "photos.lan", addresses: [], cname: "nas.lan", others: "nodata", https: null },
      { name: "shop.example.com", addresses: ["10.0.0.7"], cname: null, others: "forward", https: null },
      { name: "six.example.com", addresses: ["10.0.0.7"], cname: null, others: "forward", https: null, aaaa: "nodata" },
      { name: "out.apps.lan", addresses: [], cname: null, others: "forward", https: null },
      { name: "shop.lan", addresses: ["10.0.0.8"], cname: null, others: "nodata", https: { alpn: ["h2"], port: 8443 } },
    ]);
  });

  test("has its rules as actions and modifiers", () => {
    using here = site();
    const result = loadConfig(here.path);
    expect(
      result.kind === "ok" && result.config.rules.map(({ name, action, modifiers }) => ({ name, action, modifiers })),
    ).toEqual([
      { name: "quiet", action: null, modifiers: { ipv6: "nodata" } },
      { name: "guests", action: null, modifiers: { log: false } },
      { name: "lan", action: { kind: "upstream", group: "router" }, modifiers: {} },
      { name: "ads", action: { kind: "answer", answer: "nodata" }, modifiers: {} },
      { name: "games", action: null, modifiers: { stale: false } },
      {
        name: "safe",
        action: { kind: "cname", target: "forcesafesearch.google.com" },
        modifiers: { replace: [{ list: "cn-ip", addresses: ["192.0.2.7"] }] },
      },
      { name: "tv", action: { kind: "upstream", group: "domestic" }, modifiers: {} },
      { name: "bedtime", action: { kind: "answer", answer: "nodata" }, modifiers: {} },
      {
        name: "split",
        action: {
          kind: "longest",
          choices: [
            { list: "cn", group: "domestic" },
            { list: "world", group: "overseas" },
          ],
        },
        modifiers: {},
      },
      {
        name: "others",
        action: {
          kind: "compare",
          compare: { near: "domestic", far: "overseas", keepNearIf: "cn-ip", first: "far", withinMs: 800, verdictMs: 86_400_000 },
        },
        modifiers: {},
      },
    ]);
  });
});

describe("an absent key", () => {
  test("an empty file, a file of comments and no file mean the same", () => {
    const none = loadConfig(null);
    if (none.kind === "invalid") throw new Error(printProblems(none.problems, ""));
    for (const text of ["", "# nothing yet\n", "---\n", "{}\n"])
      expect(parseConfig(text, null)).toMatchObject({ kind: "ok", config: { ...none.config, text }, warnings: [] });
  });

  test("by default there is one group, and nothing is downloaded", () => {
    const { upstreams, lists, rules } = accepted("");
    expect(upstreams.groups.map(({ name, strategy, servers }) => [name, strategy, servers.map(({ label }) => label)])).toEqual([
      ["domestic", "fastest", ["223.5.5.5", "119.29.29.29"]],
    ]);
    expect([lists, rules]).toEqual([[], []]);
  });

  test("a section or array with nothing but comments below it counts as absent", () => {
    const text = "listen:\n  # dns: []\nrules:\n  # - { name: x }\nhosts:\n  records:\nlists:\nupstreams:\nexpect:\n";
    expect(accepted(text)).toEqual({ ...accepted(""), text });
  });

  test("absent keys of a section have their defaults beside the present ones", () => {
    expect(accepted("answers: { ttl: { min: 10s } }").answers).toMatchObject({
      ttl: { minSeconds: 10, maxSeconds: 86_400 },
      deadlineMs: 4000,
    });
  });

  test("`null` and `false` are values: the default does not replace them", () => {
    expect(accepted("listen: { admin: null }").listen.admin).toBeNull();
    expect(accepted("cache: { file: null, stale: false }").cache).toMatchObject({ file: null, stale: null });
    expect(accepted("access: { rateLimit: false }").access.rateLimit).toBeNull();
  });
});

describe("the hours of a rule", () => {
  test("are minutes of a day and numbers of days, in the zone that is named or in that of the machine", () => {
    const rules = `rules:
  - { name: a, when: { from: "21:00", to: "7:30", days: [fri-mon, sun], zone: asia/shanghai }, upstream: x }
  - { name: b, when: { days: SAT }, upstream: x }
  - { name: c, upstream: x }`;
    const config = accepted(
      `upstreams: { x: { servers: 10.0.0.1 } }\n${rules}\nexpect: [{ name: a, at: 2026-11-29T21:30+08:00, upstream: x }]`,
    );
    expect(config.rules.map(({ when }) => when)).toEqual([
      { days: [0, 1, 5, 6], hours: { fromMinute: 1260, toMinute: 450 }, zone: "Asia/Shanghai" },
      { days: [6], hours: null, zone: new Intl.DateTimeFormat().resolvedOptions().timeZone },
      undefined,
    ]);
    expect(config.expect[0]?.atMs).toBe(Date.parse("2026-11-29T13:30Z"));
  });

  test("keep a rule without other conditions from making later ones unreachable, and from being the last word", () => {
    const night = `{ name: night, when: { from: "21:00", to: "07:00" }, upstream: x }`;
    const warnings = (rules: string) => {
      const result = parseConfig(`upstreams: { x: { servers: 10.0.0.1 }, y: { servers: 10.0.0.2 } }\nrules: [${rules}]`, null);
      return result.kind === "ok" ? result.warnings.map(({ message }) => message) : expect.fail();
    };
    expect(warnings(`${night}, { name: rest, upstream: y }`)).toEqual([]);
    expect(warnings(night)).toEqual(["queries that no rule matches go to the first group, `x`"]);
  });
});
