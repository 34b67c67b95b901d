import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { run } from "../../src/cli/run.ts";
import { testTerminal } from "../cli/terminal.ts";
import { CHINA_ADDRESSES, decide, decisions, expectDecisions, folder, type Outcome, runImport, sequence } from "./sources.ts";

/** The groups of the new file: their servers by their names. */
function groupsOf({ config }: Outcome): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    (config?.upstreams.groups ?? []).map(({ name, servers }) => [name, servers.map(({ label }) => label)]),
  );
}

test("the file of the service names the folder where the service may write, and keeps what the source says of its cache", async () => {
  const source = folder({ "AdGuardHome.yaml": "dns:\n  upstream_dns: [9.9.9.9]\n  cache_optimistic: true\n" });
  const written = async (where: string) => {
    const terminal = testTerminal(where);
    expect(await run(["import", join(source, "AdGuardHome.yaml")], terminal)).toBe(0);
    return parse(terminal.written.out);
  };
  expect(await written("/etc/fenliu")).toMatchObject({
    cache: { stale: { after: "0s" }, file: "/var/lib/fenliu/cache.db" },
    log: { queries: { store: "/var/lib/fenliu/queries.db" } },
  });
  expect(await written(source)).not.toHaveProperty("cache.file");
});

describe("AdGuard Home", () => {
  const adguard = (dns: string, rest = "", files: Readonly<Record<string, string>> = {}, ...options: readonly string[]) =>
    runImport(".", { "AdGuardHome.yaml": `dns:\n  bind_hosts: [127.0.0.1]\n  port: 5353\n${dns}${rest}`, ...files }, ...options);
  const upstreams = (...lines: readonly string[]) => `  upstream_dns:\n${lines.map((line) => `    - "${line}"\n`).join("")}`;
  const plain = upstreams("9.9.9.9");

  test("`#` takes back the servers before it, and those after it count", async () => {
    const lines = ["[/a.example/]8.8.8.8", "[/a.example/b.example/]#", "[/b.example/]8.8.8.8"];
    const outcome = await adguard(upstreams("9.9.9.9", ...lines));
    await expectDecisions(outcome, { "x.a.example": "upstream", "x.b.example": "b.example", "x.example": "upstream" });
  });

  test("with protection switched off rules with an answer of their own hold, and no others", async () => {
    const outcome = await adguard(
      plain,
      "filtering: { protection_enabled: false }\nuser_rules: ['|own.example^$dnsrewrite=10.0.0.7', '||gone.example^$dnsrewrite=NXDOMAIN', '||ads.example^', '0.0.0.0 host.example']\n",
    );
    await expectDecisions(outcome, {
      "own.example": "addresses",
      "gone.example": "nxdomain",
      "ads.example": "upstream",
      "host.example": "upstream",
    });
    expect(outcome.told("left")).toContain("what `$dnsrewrite` answers stays");
  });

  test("rewrites come before the rules of the user, an alias before addresses, and what differs for aliases and AAAA is told", async () => {
    const rewrites = [
      "{ domain: a.example, answer: far.example }",
      "{ domain: a.example, answer: AAAA }",
      "{ domain: b.example, answer: six.example }",
      "{ domain: six.example, answer: fd00::6 }",
      "{ domain: '*.wild.example', answer: 10.0.0.1 }",
      "{ domain: left.example, answer: left.example }",
    ];
    const outcome = await adguard(
      `${plain}  aaaa_disabled: true\n`,
      `filtering:\n  rewrites:\n${rewrites.map((each) => `    - ${each}\n`).join("")}user_rules: ["10.7.7.7 a.example", "10.7.7.7 x.wild.example", "10.8.8.8 left.example", "||ads.example^"]\n`,
    );
    await expectDecisions(outcome, { "a.example": "alias", "b.example": "alias", "x.wild.example": "addresses" });
    expect(outcome.text).toMatch(/"?left\.example"?: 10\.8\.8\.8/);
    expect(outcome.text).not.toContain("10.7.7.7");
    expect(outcome.told("changed")).toMatch(/^9: `far\.example` and other names that aliases point to are blocked here/m);
    expect(outcome.told("changed")).toMatch(/^11: `b\.example` is an alias of `six\.example`, which is rewritten itself/m);
    expect(outcome.told("changed")).toMatch(/^12: `aaaa_disabled` emptied the IPv6 address of `six\.example` too/m);
  });

  test("a family that a rewrite leaves open is that of a rule with an answer of its own", async () => {
    const rewrites = [
      "a.example, answer: A",
      "'*.wild.example', answer: A",
      "al.example, answer: A",
      "six.example, answer: AAAA",
    ];
    const rules = [
      "|a.example^$dnsrewrite=10.7.7.1",
      "|x.wild.example^$dnsrewrite=10.7.7.2",
      "|al.example^$dnsrewrite=NOERROR;CNAME;far.example",
      "|six.example^$dnsrewrite=10.7.7.4",
    ];
    const outcome = await adguard(
      plain,
      `filtering:\n  rewrites:\n${rewrites.map((each) => `    - { domain: ${each} }\n`).join("")}user_rules: ${JSON.stringify(rules)}\n`,
    );
    const { records } = parse(outcome.text).hosts;
    expect(records).toMatchObject({
      "a.example": "10.7.7.1",
      "*.wild.example": { a: "forward" },
      "x.wild.example": "10.7.7.2",
      "al.example": { a: "forward" },
      "six.example": { aaaa: "forward" },
    });
    expect(outcome.told("changed")).toMatch(/^12: `al\.example` is an alias for a family that its rewrite leaves open/m);
    expect(outcome.told("changed")).toMatch(/^12: `six\.example` is empty for a family that its rewrite leaves open/m);
  });

  test("a client that has servers for some domains alone asks those of all clients for the rest", async () => {
    const client = (name: string, address: string, isFiltered: boolean) =>
      `    - { name: ${name}, ids: [${address}], use_global_settings: ${isFiltered}, filtering_enabled: ${isFiltered}, upstreams: ["[/kid.example/]1.1.1.1", "# 9.9.9.10"] }\n`;
    const outcome = await adguard(
      upstreams("9.9.9.9", "[/deep.kid.example/]9.9.9.11", "[/work.example/]8.8.8.8"),
      `user_rules: ["||ads.example^"]\nclients:\n  persistent:\n${client("kid", "10.0.0.21", true)}${client("free", "10.0.0.22", false)}`,
    );
    await expectDecisions(outcome, {
      "deep.kid.example @10.0.0.21": "kid.example",
      "deep.kid.example": "deep.kid.example",
      "work.example @10.0.0.21": "work.example",
      "x.example @10.0.0.21": "upstream",
      "ads.example @10.0.0.21": "addresses",
      "deep.kid.example @10.0.0.22": "kid.example",
      "work.example @10.0.0.22": "work.example",
      "ads.example @10.0.0.22": "upstream",
    });
    expect(outcome.told("blank")).toBe("");
  });

  test("resolvers for PTR of private addresses may be for some zones alone", async () => {
    const outcome = await adguard(
      `${plain}  local_ptr_upstreams: ["192.168.1.1", "[/10.in-addr.arpa/]192.168.2.1", "[/7.10.in-addr.arpa/]#"]\n`,
    );
    const names = ["1.1.168.192.in-addr.arpa PTR", "1.1.1.10.in-addr.arpa PTR", "1.1.7.10.in-addr.arpa PTR"];
    const decided = await decisions(outcome, Object.fromEntries(names.map((name) => [name, ""])));
    const servers = names.map((name) => groupsOf(outcome)[decided[name] ?? ""]);
    expect(servers).toEqual([["192.168.1.1"], ["192.168.2.1"], ["192.168.1.1"]]);
    await expectDecisions(outcome, { "1.1.1.10.in-addr.arpa TXT": "nodata" });
    expect(outcome.told("left")).toBe("");
  });

  test("the addresses of the name by which Firefox learns that it may not use its own servers are empty", async () => {
    const outcome = await adguard(`${plain}`);
    await expectDecisions(outcome, {
      "use-application-dns.net": "nodata",
      "use-application-dns.net AAAA": "nodata",
      "use-application-dns.net TXT": "upstream",
      "x.use-application-dns.net": "upstream",
    });
  });

  test("what is allowed to a client is blocked for all others, and an answer under a condition is given where it has no address", async () => {
    const rules = [
      "||ads.example^",
      "@@||x.ads.example^$client='10.0.0.21'",
      "@@||y.ads.example^$client=10.0.0.21|10.0.0.22",
      "||video.example^$dnstype=AAAA",
      "@@||video.example^$client=10.0.0.22",
      "||game.example^$client=~10.0.0.23",
      "@@||game.example^$client=10.0.0.22",
      "||net.example^$client=10.0.0.0/24",
      "||own.example^$dnsrewrite=NOERROR;;,dnstype=AAAA,client=10.0.0.21",
      "||own.example^$dnsrewrite=NOERROR;A;10.7.7.7,client=10.0.0.21",
      "@@||z.ads.example^$client=10.0.1.0/24",
    ];
    const outcome = await adguard(plain, `user_rules: ${JSON.stringify(rules)}\n`);
    await expectDecisions(outcome, {
      "x.ads.example @10.0.0.21": "upstream",
      "y.ads.example @10.0.0.21": "upstream",
      "ads.example @10.0.0.21": "addresses",
      "x.ads.example @10.0.0.22": "addresses",
      "y.ads.example @10.0.0.22": "upstream",
      "y.ads.example @10.0.0.9": "addresses",
      "video.example AAAA @10.0.0.22": "upstream",
      "video.example AAAA": "addresses",
      "game.example @10.0.0.22": "upstream",
      "game.example @10.0.0.23": "upstream",
      "game.example": "addresses",
      "own.example AAAA @10.0.0.21": "nodata",
      "own.example AAAA": "upstream",
      "own.example @10.0.0.21": "upstream",
    });
    expect(outcome.told("blank")).toMatch(/what is allowed to a single client does not pierce this rule, which is for a network/);
    expect(outcome.told("blank")).toMatch(/`@@\|\|z\.ads.*an exception under a condition/);
    expect(outcome.told("changed")).toMatch(/10\.7\.7\.7.*an answer of its own under a condition/);
  });

  test("that other types of blocked names are denied too is told where the blocking mode stands", async () => {
    for (const [mode, what] of [
      ["nxdomain", "NXDOMAIN"],
      ["refused", "refused"],
    ]) {
      const blocked = await adguard(plain, `filtering:\n  blocking_mode: ${mode}\nuser_rules: ["||ads.example^"]\n`);
      expect(blocked.told("changed")).toMatch(new RegExp(`^7: types of blocked names .* here they are ${what} too$`, "m"));
    }
  });

  test("of a wildcard the first rewrite of a family counts, and a name below it that it points to is asked of servers", async () => {
    const rewrites = [
      "{ domain: '*.a.example', answer: 10.0.0.1 }",
      "{ domain: '*.a.example', answer: A }",
      "{ domain: '*.a.example', answer: 10.0.0.2 }",
      "{ domain: '*.b.example', answer: server.b.example }",
    ];
    const outcome = await adguard(plain, `filtering:\n  rewrites:\n${rewrites.map((each) => `    - ${each}\n`).join("")}`);
    expect(outcome.text).toMatch(/"?\*\.a\.example"?: 10\.0\.0\.1/);
    await expectDecisions(outcome, { "x.a.example": "addresses", "x.b.example": "alias", "server.b.example": "upstream" });
  });

  test("a rewrite of a name has what wildcards above it say, and a name beside a wildcard of servers goes the way of its domain", async () => {
    const rewrites = [
      "{ domain: a.example, answer: 10.0.0.1 }",
      "{ domain: '*.example', answer: fd00::1 }",
      "{ domain: b.test, answer: 10.0.0.1 }",
      "{ domain: '*.test', answer: far.invalid }",
    ];
    const outcome = await adguard(
      upstreams("9.9.9.9", "[/x.net/]#", "[/*.x.net/]8.8.8.8", "[/net/]1.1.1.1"),
      `filtering:\n  rewrites:\n${rewrites.map((each) => `    - ${each}\n`).join("")}`,
    );
    await expectDecisions(outcome, { "a.example AAAA": "addresses", "b.test": "alias", "x.net": "net", "y.x.net": "x.net" });
  });

  test("a name in capitals is no rule for AdGuard Home, unless it is a pattern", async () => {
    const outcome = await adguard(plain, "user_rules: ['0.0.0.0 A.example', 'B.example', '||C.example^']\n");
    await expectDecisions(outcome, { "a.example": "upstream", "b.example": "upstream", "c.example": "addresses" });
    expect(outcome.told("left")).toContain("`B.example`: in capitals it matches nothing");
  });

  test("a client that is filtered where nobody else is is told", async () => {
    const outcome = await adguard(
      plain,
      "filtering: { filtering_enabled: false }\nuser_rules: ['||ads.example^']\nclients:\n  persistent:\n    - { name: kid, ids: [10.0.0.9], use_global_settings: false, filtering_enabled: true }\n",
    );
    expect(outcome.told("changed")).toMatch(/^10: the client `kid` is filtered, although/m);
  });

  test("an answer for a pattern that names may go on after is given for the names alone, and told", async () => {
    const outcome = await adguard(plain, "user_rules: ['||a.example$dnsrewrite=10.0.0.7', '127.0.0.1 b.example']\n");
    await expectDecisions(outcome, { "x.a.example": "addresses", "a.example.org": "upstream", "b.example": "addresses" });
    expect(outcome.told("changed")).toContain("names that only begin or end like it were rewritten too");
    expect(outcome.told("changed")).toContain("`b.example` was answered with 127.0.0.1: it is blocked");
  });

  test("the longest domain wins, several lines add up, `#` goes back to all servers, a comment is none", async () => {
    const outcome = await adguard(
      upstreams(
        "# nobody",
        "223.5.5.5",
        "[/google.com/]tls://8.8.8.8",
        "[/google.com/]tls://1.1.1.1",
        "[/maps.google.com/]#",
        "[/cn/]119.29.29.29",
      ),
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, {
      "www.google.com": "google.com",
      "x.maps.google.com": "upstream",
      "baidu.cn": "cn",
      "other.example": "upstream",
    });
    expect(groupsOf(outcome)["google.com"]).toEqual(["tls://8.8.8.8", "tls://1.1.1.1"]);
  });

  test("`[/*.x/]` matches the names below x, but not x (16)", async () => {
    await expectDecisions(await adguard(upstreams("9.9.9.9", "[/*.home.example/]192.168.88.1")), {
      "home.example": "upstream",
      "a.b.home.example": "home.example",
    });
  });

  test("an exception may be what is below a name, and stars at the ends of a pattern cost nothing", async () => {
    const outcome = await adguard(
      `${plain}  blocking_mode: nxdomain\n`,
      'user_rules: ["||example^", "@@||*.shop.example^", "||*sony*.*^$client=10.0.0.8", "/(?=a)b/"]\n',
    );
    await expectDecisions(outcome, {
      "x.example": "nodata",
      "shop.example": "nodata",
      "www.shop.example": "upstream",
      "cdn.sony.com @10.0.0.8": "nodata",
      "cdn.sony.com": "upstream",
    });
    expect(outcome.told("changed")).toContain("`/(?=a)b/`: it is no rule about a name, or no pattern that can be used here");
  });

  test("names that are dropped may have stars", async () => {
    const outcome = await adguard(`${plain}  blocked_hosts: ["*robl*.*", "||gone.example^", "/(?=a)b/"]\n`);
    await expectDecisions(outcome, { "www.roblox.com": "drop", "x.gone.example": "drop", "x.example": "upstream" });
    expect(outcome.told("changed")).toContain("`/(?=a)b/` of `blocked_hosts`: it is no pattern, and not blocked");
  });

  test("the servers of a client replace all others (13)", async () => {
    const clients =
      'clients:\n  persistent:\n    - { name: kid, ids: [10.0.0.8], upstreams: [94.140.14.15, "[/school.example/]1.1.1.3"], use_global_settings: true }\n';
    const outcome = await adguard(upstreams("9.9.9.9", "[/work.example/]8.8.8.8"), clients);
    await expectDecisions(outcome, {
      "work.example": "work.example",
      "work.example @10.0.0.8": "kid",
      "school.example @10.0.0.8": "school.example",
      "school.example": "upstream",
    });
  });

  test("a client that is known by its MAC address alone is told by it, and the report says what that needs", async () => {
    const clients =
      'user_rules: ["||ads.example^$client=tv"]\nclients:\n  persistent:\n    - { name: tv, ids: ["AA-BB-CC-DD-EE-FF"], upstreams: [1.1.1.1] }\n';
    const refused = await adguard(plain, clients);
    expect(refused).toMatchObject({ code: 1, text: "" });
    const what = "it is told by `aa:bb:cc:dd:ee:ff`, which is known where `devices` names lease files or the router";
    expect(refused.told("leak")).toContain(`the client \`tv\`: ${what}`);
    const outcome = await adguard(plain, clients, {}, "--allow-leaks");
    expect(outcome.told("changed")).toContain("holds where `devices` knows the MAC address of the client");
    await expectDecisions(outcome, {
      "www.example": "upstream",
      "www.example @aa:bb:cc:dd:ee:ff": "tv",
      "ads.example @aa:bb:cc:dd:ee:ff": "addresses",
      "ads.example": "upstream",
    });
  });

  test("rules for unfiltered clients come before rules that block", async () => {
    const rest =
      'user_rules: ["||ads.example^"]\nclients:\n  persistent:\n    - { name: free, ids: [10.0.0.9, free], use_global_settings: false, filtering_enabled: false }\n';
    await expectDecisions(await adguard(plain, rest), {
      "ads.example @10.0.0.9": "upstream",
      "ads.example @free": "upstream",
      "ads.example @10.0.0.7": "addresses",
    });
  });

  test("that the names of search engines are rewritten for one client is told at the client, where it has settings of its own", async () => {
    const search = "safe_search: { enabled: true, google: true }";
    const kid = (own: string) => `clients:\n  persistent:\n    - { name: kid, ids: [10.0.0.8], ${own} }\n`;
    const told = async (own: string) => (await adguard(plain, kid(own))).told("left");
    const what = /^\d+: services, safe search, safe browsing and hours of the client `kid`/m;
    expect(await told(`${search}, filtering_enabled: true`)).toMatch(what);
    expect(await told("safesearch_enabled: true, filtering_enabled: true")).toMatch(what);
    expect(await told(`${search}, use_global_settings: true`)).not.toMatch(what);
  });

  test("rewrites hold for clients that are not filtered too, which the report says at the client, and for nobody where filtering is off", async () => {
    const rest =
      "filtering: { rewrites: [{ domain: nas.example, answer: 10.0.0.5 }] }\nclients:\n  persistent:\n    - { name: free, ids: [10.0.0.9], use_global_settings: false, filtering_enabled: false }\n";
    const outcome = await adguard(plain, rest);
    await expectDecisions(outcome, { "nas.example @10.0.0.9": "addresses" });
    expect(outcome.told("changed")).toMatch(/^\d+: rewrites did not hold for the client `free`, which is not filtered/m);
    const off = await adguard(plain, rest.replace("filtering: {", "filtering: { filtering_enabled: false,"));
    await expectDecisions(off, { "nas.example": "upstream" });
    expect(off.told("left")).toContain("rewrites, which are switched off");
  });

  test("a line of a hosts file gives its address in the default mode of blocking alone, and blocks in all others", async () => {
    const rules = 'user_rules: ["10.9.9.9 own.example"]\n';
    await expectDecisions(await adguard(plain, rules), { "own.example": "addresses", "x.own.example": "upstream" });
    const blocking = await adguard(`${plain}  blocking_mode: nxdomain\n`, rules);
    await expectDecisions(blocking, { "own.example": "nodata", "x.own.example": "upstream" });
  });

  test("names that the program drops by default are dropped", async () => {
    const outcome = await adguard(`${plain}  blocked_hosts: [version.bind, id.server]\n`);
    await expectDecisions(outcome, { "version.bind TXT": "drop", "id.server": "drop", "www.example": "upstream" });
  });

  test("a line with a modifier that AdGuard Home does not know means nothing there, and is no exception that is lost", async () => {
    const outcome = await adguard(
      plain,
      'user_rules: ["||a.example^", "@@||a.example^$important,app=com.example", "||b.example^$all", "@@||c.example^$ctag=x"]\n',
    );
    await expectDecisions(outcome, { "a.example": "addresses", "b.example": "upstream" });
    expect(outcome.told("left")).toContain("AdGuard Home knows no modifier `app`, and does not read the line either");
    expect(outcome.told("left")).toContain("knows no modifier `all`");
    expect(outcome.told("blank")).toMatch(/^\d+: `@@\|\|c\.example\^\$ctag=x`.*$/);
  });

  test.each([
    ["AdGuardHome.yaml", (isOff: boolean) => `dns:\n  upstream_dns: [9.9.9.9]\n${isOff ? "  hostsfile_enabled: false\n" : ""}`],
    ["dnsmasq.conf", (isOff: boolean) => `server=9.9.9.9\n${isOff ? "no-hosts\n" : ""}`],
    ["config.yaml", (isOff: boolean) => `dns:\n  nameserver: [9.9.9.9]\n${isOff ? "  use-system-hosts: false\n" : ""}`],
  ])("%s: the hosts file of its machine is told, unless it is switched off", async (name, text) => {
    const told = async (isOff: boolean) => (await runImport(name, { [name]: text(isOff) })).told("changed");
    expect(await told(false)).toContain("names of /etc/hosts on its machine were answered too");
    expect(await told(true)).not.toContain("/etc/hosts");
  });

  test("a name has the answers of all user rules that rewrite it, and an alias takes the place of addresses", async () => {
    const rules = [
      "||two.example^$dnsrewrite=10.0.0.1",
      "||two.example^$dnsrewrite=NOERROR;A;10.0.0.2",
      "||two.example^$dnsrewrite=NOERROR;AAAA;fd00::1",
      "||alias.example^$dnsrewrite=NOERROR;CNAME;two.example",
      "||alias.example^$dnsrewrite=10.0.0.3",
      "||empty.example^$dnsrewrite=NOERROR;;",
    ];
    const outcome = await adguard(plain, `user_rules: ${JSON.stringify(rules)}\n`);
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, { "empty.example": "nodata" });
    expect(parse(outcome.text).hosts.records).toMatchObject({
      "two.example": ["10.0.0.1", "10.0.0.2", "fd00::1"],
      "*.two.example": ["10.0.0.1", "10.0.0.2", "fd00::1"],
      "alias.example": { cname: "two.example" },
    });
  });

  test("user rules: bare names, exceptions and modifiers keep their meaning (14, 21)", async () => {
    const rules = [
      "||ads.example^",
      "@@||good.ads.example^",
      "bare.example",
      "0.0.0.0 host.example",
      "10.9.9.9 made.example",
      "||tv.example^$client=10.0.0.7",
      "||six.example^$dnstype=AAAA",
      "||odd.example^$ctag=device_pc",
      "||nx.example^$dnsrewrite=NXDOMAIN",
      "||moved.example^$dnsrewrite=10.1.1.1",
      "||gone.example^",
      "||gone.example^$badfilter",
      "||some.example^$denyallow=kept.some.example",
      "||hard.example^$important",
      "@@||hard.example^",
    ];
    const outcome = await adguard(plain, `user_rules: ${JSON.stringify(rules)}\n`);
    await expectDecisions(outcome, {
      "www.ads.example": "addresses",
      "good.ads.example": "upstream",
      "bare.example": "addresses",
      "www.bare.example": "upstream",
      "host.example": "addresses",
      "www.host.example": "upstream",
      "made.example": "addresses",
      "made.example MX": "nodata",
      "tv.example": "upstream",
      "tv.example @10.0.0.7": "addresses",
      "six.example": "upstream",
      "six.example AAAA": "addresses",
      "odd.example": "upstream",
      "nx.example": "nxdomain",
      "www.moved.example": "addresses",
      "gone.example": "upstream",
      "x.some.example": "addresses",
      "kept.some.example": "upstream",
      "hard.example": "addresses",
    });
    expect(outcome.told("changed")).toContain(
      "`||odd.example^$ctag=device_pc`: the modifier `$ctag=device_pc` has no equal; the line is left out",
    );
  });

  test("a client of a rule is told by its name, its address or what it is not, and never guessed", async () => {
    const rules = [
      "||tv.example^$client='living room'",
      "||not.example^$client=~10.0.0.8",
      "||gone.example^$client=nobody",
      "||mac.example^$client=printer",
    ];
    const clients =
      "clients: { persistent: [{ name: living room, ids: [10.0.0.7] }, { name: printer, ids: ['aa:bb:cc:dd:ee:ff'] }] }\n";
    const outcome = await adguard(plain, `user_rules: ${JSON.stringify(rules)}\n${clients}`);
    await expectDecisions(outcome, {
      "tv.example": "upstream",
      "tv.example @10.0.0.7": "addresses",
      "not.example": "addresses",
      "not.example @10.0.0.8": "upstream",
      "gone.example": "upstream",
      "mac.example": "upstream",
      "mac.example @aa:bb:cc:dd:ee:ff": "addresses",
    });
    expect(outcome.told("changed")).toContain("`||gone.example^$client=nobody`: the modifier");
    expect(outcome.told("changed")).toContain("`||mac.example^$client=printer` holds where `devices` knows the MAC address");
  });

  test("an exception of one filter holds for all filters and for the rules of the user", async () => {
    const filters =
      "filters:\n  - { enabled: true, name: one, url: one.txt, id: 1 }\n  - { enabled: true, name: two, url: two.txt, id: 2 }\nuser_rules: ['||mine.example^', '||hard.example^$important']\n";
    const outcome = await adguard(plain, filters, {
      "one.txt": "||ads.example^\n||always.example^$important\n||off.example^\n||off.example^$badfilter\n",
      "two.txt": "@@||good.ads.example^\n@@||mine.example^\n@@||always.example^\n@@||hard.example^\n",
    });
    await expectDecisions(outcome, {
      "www.ads.example": "addresses",
      "good.ads.example": "upstream",
      "mine.example": "upstream",
      "always.example": "addresses",
      "hard.example": "addresses",
      "off.example": "upstream",
    });
  });

  test("lines for browsers in a filter or a list of exceptions mean nothing there either, and a lost exception blocks, and leaks nothing", async () => {
    const filters =
      "filters:\n  - { enabled: true, name: bad, url: bad.txt, id: 1 }\nwhitelist_filters:\n  - { enabled: true, name: good, url: good.txt, id: 2 }\n";
    const browser =
      "@@||site.ads.example^$document\n@@||ads.example/path\nads.example#@#.banner\n@@||tv.ads.example^$important,generichide\n";
    const outcome = await adguard(plain, filters, {
      "bad.txt": "||ads.example^\n||x.example^$third-party\n",
      "good.txt": `||fine.ads.example^\n${browser}@@||lost.ads.example^$ctag=device_tv\n`,
    });
    expect(outcome.code).toBe(0);
    expect(outcome.told("leak")).toBe("");
    expect(outcome.told("blank")).toMatch(/^6: a line of the list `good` that cannot be used: a rule with a modifier[^\n]*$/);
    expect(outcome.told("left")).toMatch(/^2: from here on 4 lines of the list `good` for browsers/m);
    expect(outcome.told("left")).toMatch(/^2: a line of the list `bad` for browsers/m);
    await expectDecisions(outcome, { "site.ads.example": "addresses", "x.example": "upstream" });
  });

  test("exceptions in a list that allows, which allow there and not here, are told, and leak nothing", async () => {
    const filters =
      "filters:\n  - { enabled: true, name: bad, url: bad.txt, id: 1 }\nwhitelist_filters:\n  - { enabled: true, name: good, url: good.txt, id: 2 }\n";
    const told = async (good: string) => {
      const outcome = await adguard(plain, filters, { "bad.txt": "||ads.example^\n", "good.txt": good });
      expect(outcome.code).toBe(0);
      expect(outcome.told("leak")).toBe("");
      return outcome.told("blank");
    };
    const some = await told("||fine.ads.example^\n@@||lost.ads.example^\n@@||ads.example/path\n");
    expect(some).toMatch(/^2: `@@\|\|lost\.ads\.example\^` of the list `good`: AdGuard Home allows the name; /m);
    expect(some).not.toContain("/path");
    const many = Array.from({ length: 7 }, (_, index) => `@@||a${index}.ads.example^\n`).join("");
    const all = await told(many);
    expect(all).toMatch(/^6: from here on 2 further lines of the list `good` with `@@`/m);
    expect(all).toContain("good.txt is empty; nothing is allowed by it");
    const unread = await told("||fine.ads.example^\n@@||lost.ads.example^$all\n");
    expect(unread).toMatch(
      /^2: `@@\|\|lost\.ads\.example\^\$all` of the list `good`: .*does not read the line; here it takes the name out of the list that allows$/m,
    );
    expect(unread).not.toContain("AdGuard Home allows the name");
  });

  test("that it gives the devices their addresses is told at the top", async () => {
    expect((await adguard(plain, "dhcp: { enabled: true, interface_name: eth0 }\n")).told("blank")).toContain(
      "section `dhcp`: AdGuard Home gives the devices their addresses",
    );
    expect((await adguard(plain, "dhcp: { enabled: false }\n")).told("blank")).not.toContain("dhcp");
  });

  test("`$all` in a filter holds here, and not in AdGuard Home: its lines are told", async () => {
    const filters =
      "filters:\n  - { enabled: true, name: bad, url: bad.txt, id: 1 }\nwhitelist_filters:\n  - { enabled: true, name: good, url: good.txt, id: 2 }\n";
    const many = ["a", "b", "c", "d", "e", "f"].map((name) => `||${name}.example^$all,important\n`).join("");
    const outcome = await adguard(plain, filters, {
      "bad.txt": `||ads.example^\n||phish.example^$all\n@@||x.ads.example^$all\n/path$all\n||y.example^$all,app=z\n${many}`,
      "good.txt": "||fine.ads.example^$all\n",
    });
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, {
      "www.phish.example": "addresses",
      "f.example": "addresses",
      "x.ads.example": "upstream",
      "fine.ads.example": "upstream",
      "y.example": "upstream",
    });
    const blank = outcome.told("blank");
    expect(blank).toMatch(
      /^2: `\|\|phish\.example\^\$all` of the list `bad`: AdGuard Home .* does not read the line; here it blocks the name$/m,
    );
    expect(blank).toMatch(/^10: from here on 2 further lines of the list `bad` with `\$all`: each blocks the name here$/m);
    expect(blank).not.toContain("y.example");
    expect(outcome.told("changed")).toMatch(/^3: `@@\|\|x\.ads\.example\^\$all` of the list `bad`: .*here it allows the name$/m);
    expect(outcome.told("changed")).toMatch(
      /^1: `\|\|fine\.ads\.example\^\$all` of the list `good`: .*here it allows the name$/m,
    );
  });

  test("servers that stand in are told: here they are asked after a SERVFAIL too", async () => {
    const outcome = await adguard("  upstream_dns: [10.0.1.119]\n  fallback_dns: [223.5.5.5, 1.1.1.1]\n");
    expect(outcome.told("risk")).toContain("`fallback` is asked when every server of `upstream` has failed");
    expect(outcome.told("changed")).toContain("an answer SERVFAIL or REFUSED of `upstream` may have counted");
  });

  test("domains that do not end are no server of all names", async () => {
    const outcome = await adguard("  upstream_dns: ['[/search.example/8.8.8.8', 9.9.9.9]\n");
    expect(outcome).toMatchObject({ code: 1, text: "" });
    expect(outcome.told("leak")).toContain("`[/search.example/8.8.8.8`: its domains do not end");
  });

  test("rewrites come before blocking (22), an exact name beats a wildcard, `A` leaves A to the servers", async () => {
    const filtering =
      "filtering:\n  rewrites:\n    - { domain: nas.example, answer: 10.0.0.5 }\n    - { domain: '*.apps.example', answer: 10.0.0.6 }\n    - { domain: alias.example, answer: nas.example }\n    - { domain: four.example, answer: A }\n    - { domain: free.apps.example, answer: free.apps.example }\nuser_rules: ['||nas.example^']\n";
    const outcome = await adguard(plain, filtering);
    await expectDecisions(outcome, {
      "nas.example": "addresses",
      "nas.example MX": "nodata",
      "x.y.apps.example": "addresses",
      "apps.example": "upstream",
      "alias.example": "alias",
      "four.example": "upstream",
      "four.example AAAA": "nodata",
      "four.example MX": "nodata",
      "free.apps.example": "upstream",
      "x.free.apps.example": "addresses",
    });
  });

  test("blocking and allowing lists are read, and a missing copy of a list only unblocks", async () => {
    const rest =
      "filters:\n  - { enabled: true, url: 'http://lists.example/a.txt', name: Ads, id: 1 }\n  - { enabled: true, url: 'http://lists.example/b.txt', name: More, id: 2 }\nwhitelist_filters:\n  - { enabled: true, url: 'http://lists.example/c.txt', name: Good, id: 3 }\n";
    const outcome = await adguard(plain, rest, {
      "data/filters/1.txt": "||ads.example^\n",
      "data/filters/3.txt": "||good.ads.example^\n",
    });
    await expectDecisions(outcome, { "x.ads.example": "addresses", "good.ads.example": "upstream" });
    expect(outcome.told("changed")).toMatch(/the list `More`: .*2\.txt: no such file; nothing is blocked by it/);
  });

  test("old schemas: settings under `dns`, clients as a list", async () => {
    const dns = `${plain}  all_servers: true\n  rewrites: [{ domain: a.example, answer: 10.0.0.5 }]\n  aaaa_disabled: true\n`;
    const outcome = await adguard(
      dns,
      "clients:\n  - { name: kid, ids: [10.0.0.8], upstreams: [1.1.1.3], use_global_settings: true }\n",
    );
    await expectDecisions(outcome, { "a.example": "addresses", "x.example AAAA": "nodata", "x.example @10.0.0.8": "kid" });
  });

  test("private reverse names go only to the local resolvers (33)", async () => {
    const dns = `${upstreams("9.9.9.9", "[/10.in-addr.arpa/]8.8.8.8")}  local_ptr_upstreams: [192.168.88.1]\n  use_private_ptr_resolvers: true\n`;
    await expectDecisions(await adguard(dns), { "5.0.0.10.in-addr.arpa PTR": "router", "8.8.8.8.in-addr.arpa PTR": "upstream" });
  });

  test("AdGuard Home itself as a server is left out (36); domestic and foreign servers together are named (29)", async () => {
    const outcome = await runImport("AdGuardHome.yaml", {
      "AdGuardHome.yaml": `dns:\n  port: 53\n${upstreams("127.0.0.1:53", "223.5.5.5", "8.8.8.8")}`,
    });
    expect(groupsOf(outcome)).toEqual({ upstream: ["223.5.5.5", "8.8.8.8"] });
    expect(outcome.told("left")).toContain("`127.0.0.1:53`: it is AdGuard Home itself");
    expect(outcome.told("risk")).toContain("holds domestic and foreign servers");
  });
});

describe("dnsmasq", () => {
  const dnsmasq = (text: string, files: Readonly<Record<string, string>> = {}, ...options: readonly string[]) =>
    runImport(".", { "dnsmasq.conf": `no-resolv\nserver=223.5.5.5\n${text}`, ...files }, ...options);

  test("the resolvers of the machine, which are asked without `no-resolv`, are told", async () => {
    const told = async (text: string) => (await runImport(".", { "dnsmasq.conf": text })).told("changed");
    const asked = "1: without `no-resolv` dnsmasq asks the resolvers of /etc/resolv.conf on its machine too";
    expect(await told("server=9.9.9.9\n")).toContain(asked);
    expect(await told("server=9.9.9.9\nno-resolv\n")).not.toContain("resolv.conf");
  });

  test("with `expand-hosts` names of one label are also names of the domain", async () => {
    const files = { hosts: "10.0.0.1 printer printer.lan\nfd00::1 printer\n10.0.0.2 nas.example\n" };
    const { code, text } = await dnsmasq("addn-hosts=hosts\nexpand-hosts\ndomain=lan\n", files);
    expect(code).toBe(0);
    const { records } = parse(text).hosts;
    expect(records["printer.lan"]).toMatchObject({ address: ["10.0.0.1", "fd00::1"] });
    expect(records["printer"]).toMatchObject({ address: ["10.0.0.1", "fd00::1"] });
    expect(Object.keys(records)).not.toContain("nas.example.lan");
  });

  test("with `expand-hosts` the domain is that of the address: of several the last, and that of all where there is none", async () => {
    const files = { hosts: "10.0.0.5 low\n10.0.0.200 high\n10.0.9.7 range both\n10.5.5.5 far both\n" };
    const ranges = [
      "domain=all.example",
      "domain=outer.example,10.0.0.0/24,local",
      "domain=inner.example,10.0.0.0/25",
      "domain=range.example,10.0.9.1,10.0.9.9",
      "domain=device.example,eth0",
    ];
    const { text, told } = await dnsmasq(`addn-hosts=hosts\nexpand-hosts\n${ranges.join("\n")}\n`, files);
    expect(Object.keys(parse(text).hosts.records).filter((name) => name.includes("."))).toEqual([
      "low.inner.example",
      "high.outer.example",
      "range.range.example",
      "both.range.example",
      "both.all.example",
      "far.all.example",
    ]);
    expect(told("blank")).toBe(
      "9: `domain=device.example,eth0`: the names of hosts that it makes are left out, as these addresses are not known; write the names",
    );
  });

  test("a host of a file or record takes the place of `address=`, but for the family that it lacks; an alias takes that of both", async () => {
    const files = { hosts: "10.3.3.3 x.example\n10.3.3.4 r.example\n10.3.3.5 nas.six.example\n10.3.3.6 al.example\n" };
    const text =
      "address=/x.example/10.1.1.1\naddress=/six.example/fd00::1\nhost-record=r.example,10.2.2.2\ncname=al.example,r.example\naddn-hosts=hosts\n";
    expect(parse((await dnsmasq(text, files)).text).hosts.records).toMatchObject({
      "x.example": { address: "10.3.3.3" },
      "*.x.example": { address: "10.1.1.1" },
      "r.example": { address: ["10.2.2.2", "10.3.3.4"] },
      "nas.six.example": { address: ["10.3.3.5", "fd00::1"] },
      "al.example": { cname: "r.example" },
    });
  });

  test("servers of a network are asked backwards for its addresses, and those of a local domain nobody is asked for", async () => {
    const lines = [
      "rev-server=192.168.1.0/24,192.168.1.1,192.168.1.2",
      "rev-server=10.16.0.0/15,192.168.3.1#5353",
      "rev-server=fd00:12::/36,192.168.4.1",
      "rev-server=203.0.113.7",
      "rev-server=nonsense,192.168.5.1",
      "domain=home.example,198.51.100.0/25,local",
    ];
    const outcome = await dnsmasq(`${lines.join("\n")}\n`);
    const expected = {
      "7.1.168.192.in-addr.arpa PTR": ["192.168.1.1", "192.168.1.2"],
      "1.1.17.10.in-addr.arpa PTR": ["192.168.3.1:5353"],
      "1.0.0.0.2.1.0.0.0.0.d.f.ip6.arpa PTR": ["192.168.4.1"],
    };
    const groups = await decisions(outcome, Object.fromEntries(Object.keys(expected).map((name) => [name, ""])));
    for (const [name, servers] of Object.entries(expected)) expect(groupsOf(outcome)[groups[name] ?? ""]).toEqual(servers);
    await expectDecisions(outcome, {
      "7.113.0.203.in-addr.arpa PTR": "nxdomain",
      "7.100.51.198.in-addr.arpa PTR": "nxdomain",
      "8.8.8.8.in-addr.arpa PTR": "domestic",
    });
    expect(outcome.told("blank")).toBe("7: `rev-server=nonsense,192.168.5.1`: `nonsense` is no network");
  });

  test("with `strict-order` a server is asked when the one before it has failed, not when it is slow or has nothing", async () => {
    const lines = "strict-order\nserver=8.8.8.8\nserver=/a.example/9.9.9.9\nserver=/a.example/192.168.1.1\n";
    const outcome = await dnsmasq(lines);
    await expectDecisions(outcome, { "x.example": "domestic-then-overseas", "a.example": "overseas-then-router" });
    expect(parse(outcome.text).upstreams).toMatchObject({
      "domestic-then-overseas": { servers: ["223.5.5.5"], fallback: "overseas" },
      "overseas-then-router": { servers: ["9.9.9.9"], fallback: "router" },
    });
    expect(outcome.told("changed")).toMatch(/^3: where a server is silent the next one is asked after a moment/m);
    expect(outcome.told("risk")).toMatch(/^2: `overseas` is asked when every server of `domestic` has failed/m);
    // Of both settings `all-servers` counts.
    const all = await dnsmasq(`all-servers\n${lines}`);
    expect(all.text).not.toContain("fallback");
    expect(all.told("changed")).not.toContain("where a server is silent");
  });

  test("a file is known by its lines although all of them are indented", async () => {
    const { code } = await runImport("own.txt", { "own.txt": "  no-resolv\n\tserver = 9.9.9.9\n" });
    expect(code).toBe(0);
  });

  test("a name of one label with servers of its own is asked of them, in spite of `domain-needed`, and told", async () => {
    const outcome = await dnsmasq("domain-needed\nserver=/consul/127.0.0.1#8600\n");
    await expectDecisions(outcome, { "x.consul": "router" });
    expect(outcome.told("changed")).toMatch(/^3: `consul` itself and other names of one label are asked/m);
    expect((await dnsmasq("domain-needed\nserver=/a.example/9.9.9.9\nlocal=/lan/\n")).told("changed")).not.toContain(
      "one label are asked",
    );
  });

  test("quotes may stand around a part of a value", async () => {
    const outcome = await dnsmasq('cname="a"-0."b.example",c-0."d.example"\naddress="/box.example/10.0.0.5"\n');
    expect(parse(outcome.text).hosts.records).toMatchObject({
      "a-0.b.example": { cname: "c-0.d.example" },
      "box.example": { address: "10.0.0.5" },
    });
  });

  test("records of its own are told each at its line: nobody has them here", async () => {
    const outcome = await dnsmasq("txt-record=a.example,x\ntxt-record=b.example,y\ninterface-name=c.example,eth0\nlocalmx\n");
    expect(outcome.told("blank").split("\n")).toEqual([
      "3: `txt-record=a.example,x`: nothing here gives such records, and servers are asked for them",
      "4: `txt-record=b.example,y`: nothing here gives such records, and servers are asked for them",
      "5: `interface-name=c.example,eth0`: nothing here gives such records, and servers are asked for them",
      "6: `localmx`: nothing here gives such records, and servers are asked for them",
    ]);
  });

  test("names of hosts may lie in a folder, as OpenWrt writes it: every file of it is read, but for those of editors", async () => {
    for (const key of ["addn-hosts", "hostsdir"]) {
      const files = {
        "hosts/lan": "10.0.0.1 nas.example\n",
        "hosts/dhcp": "10.0.0.2 tv.example\n",
        "hosts/lan~": "10.0.0.3 old.example\n",
      };
      const { code, text } = await dnsmasq(`${key}=hosts\n`, files);
      expect(code).toBe(0);
      expect(Object.keys(parse(text).hosts.records)).toEqual(["tv.example", "nas.example"]);
    }
  });

  test("with `bogus-priv` a server of the house is not asked for PTR of private addresses, but one of their zone is", async () => {
    const text = "no-resolv\nserver=127.0.0.1#5353\nserver=/2.168.192.in-addr.arpa/192.168.2.1\nport=5300\n";
    const of = async (more: string) => await runImport(".", { "dnsmasq.conf": `${text}${more}` });
    const [inner, other] = ["7.2.168.192.in-addr.arpa PTR", "7.1.168.192.in-addr.arpa PTR"];
    const router = (await decisions(await of(""), { [inner]: "" }))[inner] ?? "";
    await expectDecisions(await of("bogus-priv\n"), {
      [inner]: router,
      [other]: "nodata",
      "7.1.0.10.in-addr.arpa PTR": "nodata",
    });
    expect(router).not.toBe("nodata");
    expect((await decisions(await of(""), { [other]: "" }))[other]).not.toBe("nodata");
  });

  test("a line for all names without a server denies them where there is no server, and counts for nothing beside one", async () => {
    const decides = async (text: string, decision: string) =>
      await expectDecisions(await runImport(".", { "dnsmasq.conf": `no-resolv\n${text}server=/work.example/9.9.9.9\n` }), {
        "x.example": decision,
      });
    await decides("server=/#/\n", "nxdomain");
    await decides("", "refused");
    await decides("local=/#/\nserver=223.5.5.5\n", "domestic");
  });

  test("the folder that Debian's service has dnsmasq read counts, and is told, unless the file names it", async () => {
    const files = {
      "dnsmasq.d/far.conf": "server=/google.com/8.8.8.8\n",
      "dnsmasq.d/old.conf.dpkg-old": "server=/old.example/8.8.8.8\n",
    };
    const outcome = await dnsmasq("", files);
    await expectDecisions(outcome, { "www.google.com": "overseas", "old.example": "domestic" });
    expect(outcome.told("changed")).toMatch(/^1: .*dnsmasq\.d is read too, though no line names it/m);
    const named = await dnsmasq("conf-dir=dnsmasq.d/,*.conf\n", files);
    await expectDecisions(named, { "www.google.com": "overseas" });
    expect(named.told("changed")).not.toContain("though no line names it");
  });

  test("that dnsmasq gives the devices their addresses is told at the top", async () => {
    const told = (await dnsmasq("dhcp-range=192.168.1.50,192.168.1.150,12h\n")).told("blank");
    expect(told).toMatch(/^3: `dhcp-range`: .* Leave it running with `port=0`/);
  });

  test("names of one label are answered here also where a router is asked for all names, which the report says", async () => {
    const outcome = await runImport("dnsmasq.conf", { "dnsmasq.conf": "no-resolv\nserver=192.168.7.1\n" });
    await expectDecisions(outcome, { "nas.lan": "router", nas: "nodata" });
    expect(outcome.told("changed")).toMatch(/^2: names of one label \(nas\) are answered here/m);
  });

  test("a router as the only server keeps the names of the house, and other servers are not asked for them (33)", async () => {
    const home = await runImport(".", { "dnsmasq.conf": "no-resolv\nserver=192.168.1.1\n" });
    await expectDecisions(home, { "nas.lan": "router", "9.1.168.192.in-addr.arpa PTR": "router", "x.example": "router" });
    expect(home.config?.listen.dns.map(({ address, port }) => `${address} ${port}`)).toEqual(["0.0.0.0 53", ":: 53"]);
    const away = await dnsmasq("");
    await expectDecisions(away, { "nas.lan": "nxdomain", "x.example": "domestic" });
    expect(away.told("changed")).toContain("names of lan, local, home.arpa and internal (nas.lan), of one label");
  });

  test("a blocking address beats a server of the same domain, which beats `address=/x/`", async () => {
    await expectDecisions(await dnsmasq("server=/ads.example/8.8.8.8\naddress=/ads.example/#\n"), {
      "www.ads.example": "addresses",
    });
    const both = await dnsmasq("address=/asked.example/\nserver=/asked.example/8.8.8.8\n");
    await expectDecisions(both, { "asked.example": "overseas" });
  });

  test("a family that a name lacks comes from an outer domain, unless a server is named in between", async () => {
    const lines = [
      "address=/house.example/10.1.2.3",
      "address=/six.house.example/fd00::5",
      "host-record=nas.house.example,fd00::6",
    ];
    const outcome = await dnsmasq(
      [...lines, "server=/out.house.example/8.8.8.8", "host-record=x.out.house.example,fd00::7", ""].join("\n"),
    );
    await expectDecisions(outcome, {
      "x.six.house.example AAAA": "addresses",
      "x.six.house.example A": "addresses",
      "nas.house.example A": "addresses",
      "x.out.house.example AAAA": "addresses",
      "x.out.house.example A": "overseas",
    });
  });

  test("the longest domain wins in any order (24), and `#` goes back to the default", async () => {
    const single = await dnsmasq("server=/google.com/8.8.8.8\nserver=//192.168.1.1\n");
    const router = (await decisions(single, { nas: "" }))["nas"] ?? "";
    expect(groupsOf(single)[router]).toEqual(["192.168.1.1"]);
    await expectDecisions(single, { "nas.example": "domestic" });
    const outcome = await dnsmasq(
      "server=/google.com/8.8.8.8\nserver=/fonts.google.com/119.29.29.29\nserver=/maps.google.com/#\n",
    );
    const expected = { "www.google.com": "overseas", "x.fonts.google.com": "domestic-2", "maps.google.com": "domestic" };
    const [google, fonts, maps] = await Promise.all(
      Object.keys(expected).map(async (name) => Object.values(await decisions(outcome, { [name]: "" }))[0]),
    );
    const groups = groupsOf(outcome);
    expect([google, fonts, maps].map((group) => groups[group ?? ""])).toEqual([["8.8.8.8"], ["119.29.29.29"], ["223.5.5.5"]]);
  });

  test("a longer name that is blocked, or goes to a server, is taken out of the addresses of a shorter one", async () => {
    const outcome = await dnsmasq(
      "address=/a.example/10.1.2.3\naddress=/gone.a.example/\naddress=/ads.a.example/#\naddress=/own.gone.a.example/10.1.2.4\naddress=/out.a.example/\nserver=/out.a.example/8.8.8.8\n",
    );
    await expectDecisions(outcome, {
      "a.example": "addresses",
      "x.a.example": "addresses",
      "gone.a.example": "nodata",
      "x.gone.a.example": "nxdomain",
      "x.ads.a.example": "addresses",
      "x.own.gone.a.example": "addresses",
      "x.out.a.example": "overseas",
    });
    expect(outcome.text).toContain('"*.ads.a.example": { forward: true }');
  });

  test("a line without an address beside one with an address closes the other types, also against a shorter name", async () => {
    const outcome = await dnsmasq(
      "address=/a.example/fd00::1\naddress=/both.a.example/\naddress=/both.a.example/10.1.2.3\naddress=/zero.example/#\naddress=/zero.example/10.1.2.3\n",
    );
    expect(outcome.error).toBeNull();
    expect(outcome.text).toContain("both.a.example: 10.1.2.3\n");
    await expectDecisions(outcome, {
      "both.a.example A": "addresses",
      "both.a.example AAAA": "nodata",
      "x.both.a.example TXT": "nodata",
      "x.zero.example A": "addresses",
    });
  });

  test("addresses: zeros close, nothing is NXDOMAIN, others are hosts with what is below (17, 18, 19)", async () => {
    const outcome = await dnsmasq(
      "address=/ads.example/0.0.0.0\nserver=/ok.ads.example/8.8.8.8\naddress=/gone.example/\nlocal=/home.example/\naddress=/nas.example/10.0.0.5\nserver=/out.nas.example/8.8.8.8\n",
    );
    await expectDecisions(outcome, {
      "x.ads.example": "addresses",
      "ok.ads.example": "overseas",
      "x.gone.example": "nxdomain",
      "x.home.example": "nxdomain",
      "x.nas.example": "addresses",
      "out.nas.example": "overseas",
      "x.out.nas.example": "overseas",
      "nas.example MX": "domestic",
      "nas.example AAAA": "domestic",
    });
  });

  test("`/#/` are servers of all names, and `::` alone empties AAAA", async () => {
    const outcome = await dnsmasq("server=/#/119.29.29.29\naddress=/six.example/::\nserver=/own.six.example/8.8.8.8\n");
    await expectDecisions(outcome, {
      "x.example": "domestic",
      "six.example": "domestic",
      "six.example AAAA": "nodata",
      "own.six.example AAAA": "overseas",
    });
    expect(groupsOf(outcome)["domestic"]).toHaveLength(2);
  });

  test("what becomes of the hints of a name with an address is told", async () => {
    const outcome = await dnsmasq("address=/box.example/10.0.0.5\n");
    expect(outcome.told("carried")).toContain(
      "`box.example` is in `hosts.records`; other addresses in hints of its HTTPS records",
    );
  });

  test("a long file of one server becomes a list, and longer names of others win", async () => {
    const lines = Array.from({ length: 250 }, (_, index) => `server=/n${index}.example/119.29.29.29\n`).join("");
    const outcome = await dnsmasq("conf-dir=conf.d,*.conf\n", {
      "conf.d/china.conf": lines,
      "conf.d/more.conf": "server=/www.n5.example/8.8.8.8\n",
      "conf.d/old.conf~": "server=/a.example/8.8.8.8\n",
    });
    expect(outcome.text).toContain("conf.d/china.conf#dnsmasq");
    const [list, longer, none] = Object.values(
      await decisions(outcome, { "n7.example": "", "www.n5.example": "", "a.example": "" }),
    ).map((group) => groupsOf(outcome)[group]);
    expect([list, longer, none]).toEqual([["119.29.29.29"], ["8.8.8.8"], ["223.5.5.5"]]);
  });

  test("rebinding, filters, aliases and records", async () => {
    const outcome = await dnsmasq(
      "stop-dns-rebind\nrebind-domain-ok=/plex.example/\nfilter-AAAA\ncname=a.example,b.example\nhost-record=h.example,10.0.0.7\nbogus-nxdomain=203.0.113.9\nipset=/x.example/set\n",
    );
    expect(outcome.config).toMatchObject({ answers: { rebinding: "nodata", ipv6: "nodata" }, bogus: ["203.0.113.9/32"] });
    await expectDecisions(outcome, { "a.example": "alias", "h.example": "addresses" });
    expect(outcome.told("left")).toContain("`ipset`: nothing here corresponds to it");
  });

  test("names of a server that cannot be asked are refused; dnsmasq itself is left out (36); no file is written if every name has one address", async () => {
    const outcome = await dnsmasq("server=/loop.example/127.0.0.1\n");
    await expectDecisions(outcome, { "x.loop.example": "refused", "x.example": "domestic" });
    expect((await dnsmasq("address=/#/10.0.0.1\n")).error?.message).toContain("answers every name");
  });

  test("a domain that is declared local is asked of nobody, and what has no equal is told", async () => {
    const outcome = await dnsmasq(
      "domain=house.example,10.0.0.0/24,local\nstop-dns-rebind\nrebind-localhost-ok\nconf-script=x\n",
    );
    await expectDecisions(outcome, {
      "nas.house.example": "nxdomain",
      "x.example": "domestic",
      "7.0.0.10.in-addr.arpa PTR": "nxdomain",
    });
    expect(outcome.told("left")).toContain("`rebind-localhost-ok`: nothing here corresponds to it");
    expect(outcome.told("left")).toContain("`conf-script`: nothing here corresponds to it");
    expect((await dnsmasq("port=0\n")).error?.message).toContain("serves no DNS");
  });

  test("types that are filtered are empty; what an alias, an expression with an address, and `::` on a path do otherwise is told", async () => {
    const outcome = await dnsmasq(
      "filter-rr=TXT,HTTPS\ncname=a.example,w.org\ncname=*.b.example,w.org\naddress=/*c.example/10.0.0.1\naddress=/d.example/10.0.0.1\naddress=/x.d.example/::\n",
    );
    expect(outcome.config?.answers.https).toBe("nodata");
    await expectDecisions(outcome, { "x.example TXT": "nodata", "a.example": "alias", "x.b.example": "domestic" });
    expect(outcome.told("left")).toContain("`cname=*.b.example,w.org`: dnsmasq answers no name by it");
    expect(outcome.told("changed")).toContain("what `w.org` has no address for in this file is asked for here");
    expect(outcome.told("blank")).toContain("`address=/*c.example/10.0.0.1`: an expression has no address here");
    expect(outcome.told("changed").match(/`x\.d\.example` has `::` and `d\.example` addresses/g)).toHaveLength(2);
  });
});

describe("smartdns", () => {
  const SERVERS = "server 223.5.5.5 -group home\nserver 119.29.29.29\nserver-tls 8.8.8.8 -group away -exclude-default-group\n";
  const smartdns = (text: string, files: Readonly<Record<string, string>> = {}, ...options: readonly string[]) =>
    runImport("smartdns.conf", { "smartdns.conf": `${SERVERS}${text}`, ...files }, ...options);
  const withSet = (path: string, list: string) =>
    runImport("smartdns.conf", {
      "smartdns.conf": `server 223.5.5.5\nserver 8.8.8.8 -group far -e\ndomain-set -name s -file ${path}\nnameserver /domain-set:s/far\n`,
      "far.list": list,
    });

  test("a star before a part of a label is every name that ends so, and patterns that smartdns has not are left out", async () => {
    const outcome = await smartdns(
      "nameserver /*-a.example.com/away\naddress /*-b.example.com/10.0.0.1\nnameserver /regexp:^x\\.cn$/away\nnameserver /b.example.com/home\n",
    );
    await expectDecisions(outcome, { "x-a.example.com": "away", "y.b.example.com": "home", "x.cn": "default" });
    expect(outcome.told("changed")).toMatch(/^4: `\*-a\.example\.com` is every name that ends so/m);
    expect(outcome.told("blank")).toMatch(/^5: `address …\/10\.0\.0\.1`/m);
    expect(outcome.told("left")).toMatch(/^6: `regexp:.*`: smartdns has no such patterns/m);
    expect(outcome.code).toBe(0);
  });

  test("names of a set that get 0.0.0.0 are blocked for this type, and other addresses of a set are told", async () => {
    const files = { "ads.list": "ads.example\nfree.ads.example\n", "nas.list": "nas.example\n" };
    const sets = "domain-set -name ads -file ads.list\ndomain-set -name nas -file nas.list\n";
    const outcome = await smartdns(
      `${sets}address /domain-set:ads/0.0.0.0\naddress /free.ads.example/-\naddress /domain-set:nas/10.0.0.1\n`,
      files,
    );
    await expectDecisions(outcome, {
      "x.ads.example": "addresses",
      "x.ads.example AAAA": "default",
      "x.ads.example TXT": "default",
      "free.ads.example": "default",
    });
    expect(outcome.told("blank")).toBe("8: `address …/10.0.0.1`: only single names have addresses here, and for all clients");
  });

  test("a flag that version 40 takes for a group is told, unless a group comes after it", async () => {
    const outcome = await smartdns(
      "domain-rules /a.example/ -nameserver away -no-cache\ndomain-rules /b.example/ -no-ip-alias -n away\ndomain-rules /c.example/ -n away -no-serve-expired\n",
    );
    await expectDecisions(outcome, { "a.example": "away", "b.example": "away", "c.example": "away" });
    expect(outcome.told("changed")).toMatch(/^4: `-no-cache`: smartdns 40 takes it for a group that is not there/m);
    expect(outcome.told("changed")).not.toMatch(/^[56]: /m);
  });

  test("a server that looks up the names of others is of its groups too, but not of the default one", async () => {
    const outcome = await smartdns(
      "server 180.76.76.76 -b -e -g boot\nserver 1.2.4.8 -bootstrap-dns\nnameserver /a.example/boot\n",
    );
    expect(groupsOf(outcome)).toMatchObject({ boot: ["180.76.76.76"], default: ["223.5.5.5", "119.29.29.29"] });
    expect(outcome.config?.upstreams.bootstrap.map(({ label }) => label)).toEqual(["180.76.76.76", "1.2.4.8"]);
  });

  test("names of a set are closed where no server of their group can be asked, but for those that a rule names", async () => {
    const files = { "s.list": "a.example\nb.example\n" };
    const sets = Array.from({ length: 170 }, (_, index) => `nameserver /n${index}.example/away\n`).join("");
    const text =
      "server quic://1.1.1.1 -g none -e\ndomain-set -name s -file s.list\nnameserver /domain-set:s/none\nnameserver /x.a.example/away\n";
    for (const more of ["", sets])
      await expectDecisions(await smartdns(`${text}${more}`, files), {
        "a.example": "refused",
        "y.b.example": "refused",
        "x.a.example": "away",
        "c.example": "default",
      });
  });

  test("a name with a dot at its end has names, as in newer versions, and is told", async () => {
    const outcome = await smartdns("nameserver /dot.example./away\naddress /own.example./10.0.0.7\nnameserver /./away\n");
    await expectDecisions(outcome, { "x.dot.example": "away", "own.example": "addresses" });
    const told = outcome.told("changed");
    for (const [line, name] of [
      [4, "dot.example."],
      [5, "own.example."],
    ])
      expect(told).toContain(`${line}: \`${name}\` has names here, as in newer versions: in smartdns 40 it has none`);
    expect(told).not.toContain("`.` has names");
  });

  test("filters of addresses hold for the servers that have the flag: those of a group, and those that stand in for it", async () => {
    const of = async (...flags: readonly string[]) => {
      const servers = flags.map((flag, index) => `server 1.1.1.${index + 1} -group w -e ${flag}\n`);
      return await smartdns(
        `${servers.join("")}nameserver /c.example/w\nblacklist-ip 192.0.2.0/24\nwhitelist-ip 198.51.100.0/24\n`,
      );
    };
    const one = await of("-whitelist-ip", "-fallback");
    expect(parse(one.text).upstreams["w-then-w-fallback"]).toMatchObject({ accept: ["198.51.100.0/24"] });
    expect(parse(one.text).upstreams["w-fallback"]).not.toHaveProperty("accept");
    expect(one.told("risk")).toBe("");
    const both = await of("-blacklist-ip", "-fallback -blacklist-ip");
    for (const name of ["w-then-w-fallback", "w-fallback"])
      expect(parse(both.text).upstreams[name]).toMatchObject({ drop: ["192.0.2.0/24"] });
    expect(both.told("changed")).toContain("an answer of `w` of which no address is left fails: smartdns gave an empty one");
  });

  test("a relative path in a file that is included lies beside that file, not beside the main one", async () => {
    const files = {
      "parts/sets.conf": "domain-set -name s -file far.set\nconf-file more/routes.conf\nhosts-file house\n",
      "parts/far.set": "inside.example\n",
      "far.set": "outside.example\n",
      "parts/more/routes.conf": "nameserver /domain-set:s/away\n",
      "parts/house": "10.0.0.7 nas.example\n",
    };
    const outcome = await smartdns("conf-file parts/sets.conf\n", files);
    await expectDecisions(outcome, { "inside.example": "away", "outside.example": "default", "nas.example": "addresses" });
    const missing = await smartdns("conf-file parts/sets.conf\n", {
      ...files,
      "parts/sets.conf": "domain-set -name s -file set/far\nnameserver /domain-set:s/away\n",
      "set/far": "x.example\n",
    });
    expect(missing.told("leak")).toContain("parts/set/far: no such file");
  });

  test("tens of thousands of names are read in seconds", { timeout: 30_000 }, async () => {
    const lines = Array.from(
      { length: 15_000 },
      (_, index) => `nameserver /n${index}.example/home\naddress /n${index}.example/#6\n`,
    );
    const outcome = await smartdns(lines.join(""));
    await expectDecisions(outcome, { "www.n14999.example": "home", "www.n7.example AAAA": "nodata" });
  });

  test("lines of a set that are no bare names match nothing there: they are told as leaks", async () => {
    const set = "domain-set -name cn -file cn.txt\nnameserver /domain-set:cn/home\n";
    const { code, told } = await smartdns(set, { "cn.txt": "shop.example\n.dot.example\nkeyword:shop\n" });
    expect(code).toBe(1);
    expect(told("leak")).toMatch(/^2: `\.dot\.example` of the list `cn` matches nothing there.*\n3: `keyword:shop` of the list/);
  });

  test("`/./` is every name that no other line has, beside sets too, and what version 40 makes of it is told", async () => {
    const set = "domain-set -name cn -file cn.txt\nnameserver /domain-set:cn/home\n";
    for (const [lines, files] of [
      ["nameserver /shop.example/home\n", {}],
      [set, { "cn.txt": "shop.example\n" }],
    ] as const) {
      const outcome = await smartdns(`${lines}nameserver /./away\n`, files);
      expect(outcome.code).toBe(0);
      expect(outcome.told("changed")).toContain("`/./` is every name here, as in newer versions; smartdns 40 passes over it");
      await expectDecisions(outcome, { "www.shop.example": "home", "x.example": "away" });
    }
  });

  test("clients and domains without the name of a group are those of the group in which the line stands", async () => {
    const outcome = await smartdns(
      "group-begin kids\nclient-rules 192.168.1.50/32\naddress /video.example/#\nnameserver /./away\ngroup-end\ngroup-match -g home -domain work.example\nclient-rules 192.168.1.7 -g away\n",
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, {
      "video.example": "default",
      "video.example A @192.168.1.50": "nodata",
      "x.example A @192.168.1.50": "away",
      "x.example A @192.168.1.7": "away",
      "www.work.example": "home",
    });
  });

  test("a server that a group for domains inherits for one of them comes before its own", async () => {
    const outcome = await smartdns(
      "domain-set -name s -file s.txt\nnameserver /domain-set:s/home\nnameserver /mail.work.example/home\nnameserver /free.work.example/-\ngroup-begin away\ngroup-match -domain work.example\ngroup-match -domain news.set.example\ngroup-end\n",
      { "s.txt": "set.example\nin.work.example\n" },
      "--allow-leaks",
    );
    await expectDecisions(outcome, {
      "work.example": "away",
      "x.work.example": "away",
      "mail.work.example": "home",
      "in.work.example": "home",
      "news.set.example": "home",
    });
  });

  test("a server for some names of a group for domains is left out, and told", async () => {
    const outcome = await smartdns(
      "group-begin home\ngroup-match -domain work.example\nnameserver /mail.work.example/away\ngroup-end\n",
      {},
      "--allow-leaks",
    );
    expect(outcome.told("leak")).toMatch(/^6: the group `home` is for domains: a server for some of them is left out/m);
    await expectDecisions(outcome, { "mail.work.example": "home" });
  });

  test("clients of a group can be a set of addresses, and what tells no client is told", async () => {
    const lines = "ip-set -name kids -file kids.ip\ngroup-begin kids\ngroup-match -client-ip ip-set:kids\naddress #\ngroup-end\n";
    const outcome = await smartdns(lines, { "kids.ip": "192.168.1.20\n192.168.1.30/31\n01:02:03:04:05:06\n" });
    expect(outcome.code).toBe(0);
    expect(outcome.told("changed")).toContain("`01:02:03:04:05:06` is known where `devices` knows the MAC address");
    await expectDecisions(outcome, {
      "x.example": "default",
      "x.example A @192.168.1.20": "nodata",
      "x.example A @192.168.1.31": "nodata",
    });
    const unknown = await smartdns("client-rules somebody -group away\n", {}, "--allow-leaks");
    expect(unknown.told("leak")).toContain("`somebody` tells no client");
  });

  test("a group begins with the rules that the one it inherits has by then", async () => {
    const group = (name: string, client: string, inherits: string) =>
      `group-begin ${name} ${inherits}\nclient-rules ${client}\ngroup-end\n`;
    const outcome = await smartdns(
      `nameserver /early.example/away\n${group("a", "10.0.0.1", "")}group-begin b -inherit none\nclient-rules 10.0.0.2\nnameserver home\naddress /ads.example/#\ngroup-end\n${group("c", "10.0.0.3", "-inherit b")}nameserver /late.example/away\n`,
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, {
      "early.example": "away",
      "late.example": "away",
      "early.example A @10.0.0.1": "away",
      "late.example A @10.0.0.1": "default",
      "early.example A @10.0.0.2": "home",
      "ads.example A @10.0.0.3": "nodata",
      "early.example A @10.0.0.3": "home",
    });
  });

  test("AAAA and types are emptied for the clients of a group alone", async () => {
    const outcome = await smartdns(
      "force-AAAA-SOA yes\ngroup-begin free -inherit none\nclient-rules 10.0.0.1\ngroup-end\ngroup-begin kids\nclient-rules 10.0.0.2\nforce-qtype-SOA 65\ngroup-end\n",
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, {
      "x.example AAAA": "nodata",
      "x.example AAAA @10.0.0.1": "default",
      "x.example AAAA @10.0.0.2": "nodata",
      "x.example HTTPS @10.0.0.2": "nodata",
      "x.example HTTPS @10.0.0.1": "default",
    });
  });

  test("types that are emptied may be spans, and may be taken back", async () => {
    const outcome = await smartdns(
      "force-qtype-SOA 28,64-65\ngroup-begin a\nclient-rules 10.0.0.1\nforce-qtype-SOA -,28,65\ngroup-end\n",
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, {
      "x.example AAAA": "nodata",
      "x.example SVCB": "nodata",
      "x.example HTTPS": "nodata",
      "x.example A": "default",
      "x.example AAAA @10.0.0.1": "default",
      "x.example HTTPS @10.0.0.1": "default",
      "x.example SVCB @10.0.0.1": "nodata",
    });
    expect((await smartdns("force-qtype-SOA 256-65535\n")).told("changed")).toContain(
      "of a span of types the first 256 are empty",
    );
  });

  test("a name that is freed has AAAA again, also of the clients of a group; that it has not the other types is told", async () => {
    const outcome = await smartdns(
      "force-qtype-SOA 16\ngroup-begin a\nclient-rules 10.0.0.1\nforce-AAAA-SOA yes\naddress /free.example/-\ngroup-end\n",
    );
    await expectDecisions(outcome, {
      "free.example AAAA @10.0.0.1": "default",
      "x.example AAAA @10.0.0.1": "nodata",
      "x.example AAAA": "default",
    });
    expect(outcome.told("changed")).toMatch(/^8: newer versions of smartdns ask for these names in spite of `force-qtype-SOA`/m);
  });

  test("the group of a rule for domains is that of its clients, not a group of servers, and so is that of an included file", async () => {
    const outcome = await smartdns(
      "client-rules 10.0.0.1 -group away\ndomain-rules /home.example/ -g away -n home\nconf-file kids.conf -group kids\nclient-rules 10.0.0.2 -group kids\ndomain-rules /lost.example/ -g nobody -n home\n",
      { "kids.conf": "force-AAAA-SOA yes\n" },
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, {
      "home.example": "default",
      "home.example A @10.0.0.1": "home",
      "x.example A @10.0.0.1": "away",
      "x.example AAAA @10.0.0.2": "nodata",
      "x.example AAAA": "default",
      "lost.example": "default",
    });
    expect(outcome.told("left")).toMatch(/^8: the group `nobody` has no clients: its rules hold for nobody/m);
  });

  test("whom the target of an alias is asked of, and a filter without addresses, are told", async () => {
    const outcome = await smartdns(
      "cname /a.example/b.example\nserver 1.1.1.1 -group w -e -whitelist-ip\nnameserver /c.example/w\n",
    );
    expect(outcome.told("changed")).toMatch(/^4: `b\.example` goes the way of its own rules here/m);
    expect(outcome.told("changed")).toContain("`-whitelist-ip` of servers of `w` drops every address");
  });

  test("a server behind a proxy that is none cannot be asked", async () => {
    const outcome = await smartdns(
      "proxy-server nonsense -name p\nserver 1.1.1.1 -group p -proxy p -e\nnameserver /a.example/p\n",
    );
    await expectDecisions(outcome, { "a.example": "refused", "x.example": "default" });
    expect(outcome.told("left")).toContain("there is no proxy `p` that can be asked");
  });

  test("what version 40 does not read is told: names with a star or a dash before them, and several addresses", async () => {
    const outcome = await smartdns("nameserver /*.a.example/away\naddress /b.example/192.0.2.1,192.0.2.2\n");
    await expectDecisions(outcome, { "x.a.example": "away", "a.example": "default", "b.example": "addresses" });
    expect(outcome.told("changed")).toMatch(/^4: `\*\.a\.example` has names here, as in newer versions/m);
    expect(outcome.told("changed")).toMatch(/^5: `192\.0\.2\.1,192\.0\.2\.2`: given as newer versions do/m);
  });

  test("addresses hold for all clients, and where a group has them otherwise it is told", async () => {
    const outcome = await smartdns(
      "address /a.example/192.0.2.1\ngroup-begin away\nclient-rules 10.0.0.1\naddress /a.example/#4\ngroup-end\naddress /b.example/192.0.2.2\n",
    );
    expect(outcome.code).toBe(0);
    expect(outcome.told("changed")).toMatch(/^4: `#4` of a longer or shorter name takes this address away there/m);
    expect(outcome.told("changed")).toMatch(/^9: the group `away` begins before this line and had none of it/m);
    expect((await smartdns("force-qtype-SOA 1\naddress /a.example/192.0.2.1\n")).told("changed")).toContain(
      "emptied this address too",
    );
  });

  test("of a group for domains the server of all names is that of the group", async () => {
    const outcome = await smartdns(
      "domain-set -name work -file work.txt\ngroup-begin office\ngroup-match -domain domain-set:work\nnameserver away\ngroup-end\n",
      { "work.txt": "work.example\n" },
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, { "x.example": "default", "www.work.example": "away" });
  });

  test("a name with a line of its own below one of a set is expected to go the way of the set", async () => {
    const outcome = await smartdns(
      "domain-set -name cn -file cn.txt\nnameserver /domain-set:cn/home\nnameserver /video.example/away\naddress /static.video.example/#6\n",
      { "cn.txt": "shop.example\n" },
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, { "static.video.example": "away", "static.video.example AAAA": "nodata" });
  });

  test("a file that only includes others is recognised", async () => {
    const outcome = await runImport("smartdns.conf", { "smartdns.conf": "conf-file servers.conf\n", "servers.conf": SERVERS });
    await expectDecisions(outcome, { "x.example": "default" });
  });

  test("a group of several sides is told: a server that knows nothing does not wait for another here", async () => {
    const several = "servers of `default` are of more than one side";
    const of = (servers: string) => runImport("smartdns.conf", { "smartdns.conf": servers });
    expect((await of("server 223.5.5.5\nserver 192.0.2.53\n")).told("changed")).toMatch(new RegExp(`^1: ${several}`, "m"));
    expect((await of("server 223.5.5.5\nserver 119.29.29.29\n")).told("changed")).not.toContain(several);
  });

  test("a port of all IPv6 addresses takes questions over IPv4 too", async () => {
    const outcome = await smartdns("bind [::]:6053\n");
    expect(outcome.config?.listen.dns.map(({ address }) => address)).toEqual(["::", "0.0.0.0"]);
  });

  test("an IPv4 address to listen on may stand in brackets", async () => {
    const outcome = await smartdns("bind 192.0.2.1:53\nbind-tcp [192.0.2.1]:53\n");
    expect(outcome.config?.listen.dns.map(({ address }) => address)).toEqual(["192.0.2.1"]);
  });

  test("groups of names of one label are expected by names below them", async () => {
    const filler = Array.from({ length: 200 }, (_, index) => `nameserver /n${index}.example/home\n`).join("");
    const outcome = await smartdns(`${filler}nameserver /dn42/away\nnameserver /in.dn42/home\n`);
    expect(outcome.text).toContain("{ name: www.dn42, rule: split, upstream: away }");
    await expectDecisions(outcome, { "x.dn42": "away", "x.in.dn42": "home" });
  });

  test("lines of a set that mean something else here are told", async () => {
    const outcome = await withSet("far.list", "search.example\n-.exact.example\n*.below.example\n*mid*.example\n");
    expect(outcome).toMatchObject({ code: 1, text: "" });
    expect(outcome.told("leak")).toContain("2: `-.exact.example` of the list `s` is a name alone there, and none here");
    expect(outcome.told("leak")).toContain("3: `*.below.example`");
    expect(outcome.told("leak")).toContain("4: a line of the list `s` that cannot be used");
  });

  test("a path may be quoted", async () => {
    const outcome = await withSet("'/etc/smartdns/far.list'", "search.example\n");
    await expectDecisions(outcome, { "www.search.example": "far", "x.example": "default" });
  });

  test("a server belongs to its group and to the default group, unless it is excluded (11)", async () => {
    const outcome = await smartdns("nameserver /a.example/away\nnameserver /b.a.example/home\nnameserver /c.a.example/-\n");
    expect(groupsOf(outcome)).toEqual({ default: ["223.5.5.5", "119.29.29.29"], away: ["tls://8.8.8.8"], home: ["223.5.5.5"] });
    await expectDecisions(outcome, {
      "x.a.example": "away",
      "x.b.a.example": "home",
      "c.a.example": "default",
      "x.example": "default",
    });
  });

  test("a flag of a set is told for an address where the set holds a name on its path, and for no other", async () => {
    const outcome = await smartdns(
      "domain-set -name s -file s.list\ndomain-rules /domain-set:s/ -a #6\naddress /nas.example/fd00::1\naddress /below.example/fd00::2\naddress /x.set.example/fd00::3\naddress /free.example/#4\naddress /set.example/#\n",
      { "s.list": "set.example\nin.below.example\n" },
    );
    const lines = outcome.told("changed").match(/^\d+: `#6?` of a longer or shorter name/gm);
    expect(lines).toEqual([
      "7: `#6` of a longer or shorter name",
      "8: `#` of a longer or shorter name",
      "8: `#6` of a longer or shorter name",
    ]);
    expect(outcome.told("changed")).toMatch(/^5: `#` and `#6` lie on one path/m);
    expect(outcome.told("changed")).not.toContain("`#4` and `#6`");
  });

  test("an unknown group is not guessed (12)", async () => {
    const outcome = await smartdns("nameserver /a.example/nobody\n");
    expect(outcome).toMatchObject({ code: 1, text: "" });
    expect(outcome.told("leak")).toContain("4: there is no group `nobody`");
  });

  test("each address rule is inherited separately, beside the servers (25)", async () => {
    const outcome = await smartdns(
      "address /google.example/#6\nnameserver /mail.google.example/away\naddress /ads.example/#\naddress /ok.ads.example/-\naddress /nas.example/10.0.0.5\naddress /out.nas.example/-\naddress /open.google.example/-6\n",
    );
    await expectDecisions(outcome, {
      "x.mail.google.example": "away",
      "x.mail.google.example AAAA": "nodata",
      "open.google.example AAAA": "default",
      "x.ads.example MX": "nodata",
      "ok.ads.example": "default",
      "x.nas.example": "addresses",
      "x.out.nas.example": "default",
      "nas.example MX": "default",
    });
  });

  test("sets of domains, rules of several attributes, and what is forced empty but for some", async () => {
    const outcome = await smartdns(
      "domain-set -name gfw -type list -file gfw.txt\ndomain-rules /domain-set:gfw/ -c none -n away -a #6\nforce-AAAA-SOA yes\naddress /six.example/-6\nforce-qtype-SOA 65\n",
      { "gfw.txt": "search.example\n" },
    );
    await expectDecisions(outcome, {
      "www.search.example": "away",
      "x.example AAAA": "nodata",
      "six.example AAAA": "default",
      "x.example HTTPS": "nodata",
    });
  });

  test("clients with a group of their own, ports with one, and a proxy that is not there", async () => {
    const outcome = await smartdns("client-rules 10.0.7.0/24 -group away\nnameserver /a.example/home\n");
    await expectDecisions(outcome, { "x.example @10.0.7.2": "away", "a.example @10.0.7.2": "home", "x.example": "default" });
    expect((await smartdns("bind :6053 -group away\n")).told("leak")).toContain(
      "questions on :6053 went to a group of their own",
    );
    const dead = await smartdns(
      "server-https https://1.1.1.1/dns-query -group px -exclude-default-group -proxy none\nnameserver /a.example/px\n",
    );
    await expectDecisions(dead, { "a.example": "refused" });
  });
});

describe("chinadns-ng", () => {
  const FILES = {
    "chn.txt": "baidu.example\n",
    "gfw.txt": "google.example\nboth.baidu.example\n",
    "ads.txt": "ads.example\n",
    "chnroute.txt": CHINA_ADDRESSES,
  };
  const chinadns = (text: string, files: Readonly<Record<string, string>> = FILES) =>
    runImport("chinadns-ng.conf", {
      "chinadns-ng.conf": `china-dns 223.5.5.5\ntrust-dns tcp://8.8.8.8\nchnlist-file chn.txt\ngfwlist-file gfw.txt\n${text}`,
      ...files,
    });

  test("the longest name decides, whichever list has it; of equal ones the order is groups, the foreign list, the domestic list; then both sides", async () => {
    const files = {
      ...FILES,
      "chn.txt": "baidu.example\nsame.example\nchina.google.example\nfine.ads.example\n",
      "gfw.txt": `${FILES["gfw.txt"]}same.example\n`,
    };
    const outcome = await chinadns("group null\ngroup-dnl ads.txt\nno-ipv6 tag:gfw\nfilter-qtype 65\n", files);
    const always = {
      "ads.example": "nodata",
      "fine.ads.example": "china",
      "both.baidu.example": "trust",
      "www.baidu.example": "china",
      "www.google.example": "trust",
      "www.china.google.example": "china",
      "china.google.example AAAA": "china",
      "x.example": "china|trust",
      "google.example AAAA": "nodata",
      "x.example HTTPS": "nodata",
    };
    await expectDecisions(outcome, { ...always, "same.example": "trust" });
    expect(outcome.told("changed")).toContain("fine.ads.example of another list lies in shorter names of `null`");
    expect(outcome.told("changed")).toContain("china.google.example of another list lies in shorter names of `gfw`");
    const first = await chinadns("group null\ngroup-dnl ads.txt\nno-ipv6 tag:gfw\nfilter-qtype 65\nchnlist-first\n", files);
    await expectDecisions(first, { ...always, "same.example": "china", "same.example AAAA": "china" });
    const parts = await chinadns(
      "group own\ngroup-dnl ads.txt\ngroup null\ngroup own\ngroup-upstream 9.9.9.9\nno-ipv6 tag:own,tag:none\n",
    );
    await expectDecisions(parts, {
      "ads.example": "own",
      "ads.example AAAA": "nodata",
      "x.example AAAA": "nodata",
      "google.example AAAA": "trust",
    });
    // A file of two tags is of the first.
    const twice = await chinadns("group null\ngroup-dnl ads.txt\ngroup own\ngroup-dnl ads.txt\ngroup-upstream 9.9.9.9\n");
    await expectDecisions(twice, { "ads.example": "own" });
  });

  test("lines of a list that are no bare names match nothing there: they are told as leaks", async () => {
    const { code, told } = await chinadns("", {
      ...FILES,
      "chn.txt": "baidu.example\n.dot.example\ntail.example.\nfull:one.example\n",
    });
    expect(code).toBe(1);
    expect(told("leak")).toBe(
      [
        "2: `.dot.example` of the list `chn` matches nothing there, where a list has bare names alone, and names here: remove the line, or write the name bare",
        "3: `tail.example.` of the list `chn` matches nothing in chinadns-ng and smartdns 40, where a list has bare names alone, and names here: remove the line, or write the name bare",
        "4: `full:one.example` of the list `chn` matches nothing there, where a list has bare names alone, and names here: remove the line, or write the name bare",
      ].join("\n"),
    );
  });

  test("of names that no list has, the report says what the program compared, and nothing of an order of the servers", async () => {
    const told = (await chinadns("")).told("changed");
    expect(told).toContain("other types where it is known. There the first address of an answer of `china` was enough");
    expect(told).not.toContain("not after it");
    expect(told).not.toContain("were always those of");
  });

  test("what may stand several times counts as often, and both sets of the country's addresses are read", async () => {
    const outcome = await runImport("chinadns-ng.conf", {
      "chinadns-ng.conf": "bind-addr 127.0.0.1\nbind-addr 192.168.1.2\nbind-port 53@udp\nbind-port 5353\ntrust-dns 8.8.8.8\n",
      "chnroute.txt": CHINA_ADDRESSES,
      "chnroute6.txt": "2400:3200::/32\n",
    });
    expect(outcome.config?.listen.dns.map(({ address, port }) => `${address}:${port}`)).toEqual([
      "127.0.0.1:53",
      "127.0.0.1:5353",
      "192.168.1.2:53",
      "192.168.1.2:5353",
    ]);
    expect(outcome.config?.lists.flatMap(({ sources }) => sources)).toHaveLength(2);
    expect(outcome.text).toContain("114.114.114.114");
  });

  test("names with addresses of their own are hosts, empty for the family that they have none of", async () => {
    const outcome = await chinadns("dns-rr-ip nas.baidu.example,nas.google.example=10.0.0.9\nhosts own.txt\nhosts\n", {
      ...FILES,
      "own.txt": "10.0.0.8 tv.baidu.example # the one upstairs\nfd00::8 tv.baidu.example\n",
    });
    await expectDecisions(outcome, {
      "nas.baidu.example": "addresses",
      "nas.google.example": "addresses",
      "nas.google.example AAAA": "nodata",
      "nas.google.example TXT": "trust",
      "tv.baidu.example": "addresses",
      "tv.baidu.example AAAA": "addresses",
    });
    expect(outcome.told("changed")).toMatch(/^7: names of \/etc\/hosts on its machine were answered too/m);
  });

  test("names that lie in those of the group `null` are told where they are too many to be written out", async () => {
    const many = Array.from({ length: 201 }, (_, index) => `a${index}.ads.example\n`).join("");
    const outcome = await chinadns("group null\ngroup-dnl ads.txt\n", { ...FILES, "chn.txt": many });
    expect(outcome.told("blank")).toMatch(
      /^6: 201 names of other lists, such as a0\.ads\.example, lie in shorter names of `null`, and the longer counts there: here every type is emptied for them too$/m,
    );
    await expectDecisions(outcome, { "a0.ads.example": "nodata" });
  });

  test("AAAA is emptied for names that have the tag, not for those that a group has", async () => {
    const files = { ...FILES, "own.txt": "google.example\n" };
    const outcome = await chinadns(
      "bind-port 65353@udp\nno-ipv6 tag:gfw\ngroup own\ngroup-dnl own.txt\ngroup-upstream 9.9.9.9\n",
      files,
    );
    await expectDecisions(outcome, { "google.example AAAA": "own", "both.baidu.example AAAA": "nodata" });
  });

  test("a default tag decides names that are in no list; no file is written without the addresses of the kernel's set", async () => {
    await expectDecisions(await chinadns("default-tag gfw\n"), { "x.example": "trust" });
    const { "chnroute.txt": _, ...rest } = FILES;
    const outcome = await chinadns("ipset-name4 chnroute\n", rest);
    expect(outcome).toMatchObject({ code: 1, text: "" });
    expect(outcome.told("changed")).toMatch(
      /the set `chnroute` is one of the kernel: .*chnroute.txt; put the file there that fills it/,
    );
    expect(outcome.told("leak")).toMatch(/chnroute.txt: no such file; no address of an answer would be found in it/);
  });

  test.each([
    ["chnroute", "chnroute.ipset", "create chnroute hash:net\nadd chnroute "],
    ["inet@global@route,x", "route.nftset", "add element inet global route { "],
  ])(
    "the kernel's set `%s` is read from %s beside the configuration, as the program's scripts write it",
    async (set, name, line) => {
      const { "chnroute.txt": _, ...rest } = FILES;
      const end = line.endsWith("{ ") ? " }" : "";
      const text = CHINA_ADDRESSES.trim()
        .split("\n")
        .map((network) => `${line}${network}${end}\n`);
      const outcome = await chinadns(`ipset-name4 ${set}\n`, { ...rest, [name]: text.join("") });
      await expectDecisions(outcome, { "x.example": "china|trust" });
      expect(outcome.config?.lists.map(({ sources }) => sources[0]).at(-1)).toMatchObject({
        path: expect.stringContaining(name),
      });
      expect(outcome.told("changed")).not.toContain("put the file there");
    },
  );
});

describe("mihomo", () => {
  const mihomo = (dns: string, rest = "", files: Readonly<Record<string, string>> = {}, ...options: readonly string[]) =>
    runImport("config.yaml", { "config.yaml": `dns:\n  enable: true\n${dns}${rest}`, ...files }, ...options);
  const NAMESERVER = "  nameserver: [223.5.5.5]\n";

  test("a star in a list of names is one label there: such lines are told as leaks", async () => {
    const { code, told } = await mihomo(
      `${NAMESERVER}  nameserver-policy:\n    'rule-set:cn': 8.8.8.8\n`,
      "rule-providers:\n  cn: { type: file, behavior: domain, format: text, path: cn.txt }\n",
      { "cn.txt": "+.a.example\n*.b.example\n" },
    );
    expect(code).toBe(1);
    expect(told("leak")).toMatch(/^2: `\*\.b\.example` of the list `cn` is one label below the name there/m);
  });

  test("rules of a set about addresses or connections never held for a name, which is said; others that are not read are leaks", async () => {
    const rules = ["IP-CIDR,1.2.3.0/24,no-resolve", "PROCESS-NAME,foo", "DOMAIN-SUFFIX,a.example", "GEOIP,CN", "DST-PORT,53"];
    const set = (lines: readonly string[]) =>
      mihomo(
        `${NAMESERVER}  nameserver-policy:\n    'rule-set:far': 8.8.8.8\n`,
        "rule-providers:\n  far: { type: file, behavior: classical, format: text, path: far.txt }\n",
        { "far.txt": `${lines.join("\n")}\n` },
      );
    const outcome = await set(rules);
    expect(outcome.told("leak")).toBe("");
    expect(outcome.told("left")).toMatch(
      /^1: from here on 4 lines of the list `far` about addresses or connections, such as this one: who is asked for a name never hung/m,
    );
    const { told } = await set([...rules, "DOMAIN-WILDCARD,*.b.example", "GEOSITE,cn"]);
    expect(told("leak")).toMatch(
      /^6: a line of the list `far` that cannot be used: a rule of a type that is not read here\n7: a line of the list `far`/,
    );
  });

  test("a server whose name is in `hosts` is asked there", async () => {
    const outcome = await mihomo(
      "  nameserver: ['https://dns.example/dns-query', 'tls://dot.example']\n",
      "hosts: { dns.example: [9.9.9.9, 149.112.112.112], other.example: 1.2.3.4 }\n",
    );
    expect(outcome.config?.upstreams.groups[0]?.servers.map(({ addresses }) => addresses)).toEqual([
      ["9.9.9.9", "149.112.112.112"],
      [],
    ]);
  });

  test("a set that stands in the configuration is read, and merged maps are", async () => {
    const policy = (what: string) => `${NAMESERVER}  nameserver-policy:\n    'rule-set:far': ${what}\n`;
    const set = (behavior: string, lines: readonly string[]) =>
      `rule-providers:\n  far: { type: inline, behavior: ${behavior}, payload: ${JSON.stringify(lines)} }\n`;
    const names = await mihomo(policy("8.8.8.8"), set("domain", ["+.a.example", "b.example", "*.c.example"]));
    const expected = {
      "x.a.example": "rule-set-far",
      "b.example": "rule-set-far",
      "x.b.example": "nameserver",
      "x.c.example": "rule-set-far",
      "x.x.c.example": "nameserver",
    };
    await expectDecisions(names, expected);
    const lines = ["DOMAIN-SUFFIX,a.example", "IP-CIDR,1.2.3.0/24,no-resolve"];
    const rules = await mihomo(policy("8.8.8.8"), set("classical", lines));
    await expectDecisions(rules, { "x.a.example": "rule-set-far", "b.example": "nameserver" });
    expect(rules.told("left")).toContain("`IP-CIDR,1.2.3.0/24,no-resolve` is about no name");
    const unread = await mihomo(policy("8.8.8.8"), set("classical", [...lines, "DOMAIN-WILDCARD,*.b.example"]));
    expect(unread.told("leak")).toContain("`DOMAIN-WILDCARD,*.b.example` is not read");
    const merged = await mihomo(
      policy("8.8.8.8"),
      "x: &a { behavior: domain, format: text, path: none.txt }\ny: &b { type: file, path: nowhere.txt }\nrule-providers:\n  far: { path: far.txt, <<: [*a, *b] }\n",
      { "far.txt": "+.a.example\n" },
    );
    await expectDecisions(merged, { "x.a.example": "rule-set-far", "b.example": "nameserver" });
  });

  test("what mihomo does not know, or does only when it is switched on, is told", async () => {
    const outcome = await runImport("config.yaml", {
      "config.yaml":
        "dns:\n  nameserver: [223.5.5.5]\n  nameserver-polcy: { a.example: 8.8.8.8 }\n  direct-nameserver: [system]\n",
    });
    expect(outcome.told("changed")).toContain("`dns` is off in mihomo without `enable: true`");
    expect(outcome.told("left")).toMatch(
      /3: `dns\.nameserver-polcy` is not known.*\n4: `dns.direct-nameserver`: it serves mihomo's own/,
    );
  });

  test("with `respect-rules` the servers for the names of the proxies are asked directly", async () => {
    const outcome = await mihomo(
      `${NAMESERVER}  respect-rules: true\n  proxy-server-nameserver: [https://1.1.1.1/dns-query]\n`,
      "proxies: [{ name: n, type: ss, server: node.example, port: 1 }]\n",
    );
    expect(outcome.told("leak")).toBe("");
    await expectDecisions(outcome, { "node.example": "proxy-server-nameserver" });
  });

  test("keys of policies match a name, one label below, all below, or all below and the name", async () => {
    const outcome = await mihomo(
      `${NAMESERVER}  nameserver-policy:\n    'full.example': 8.8.8.8\n    '*.one.example': 8.8.4.4\n    '.below.example': 1.1.1.1\n    '+.all.example': 9.9.9.9\n    'www.all.example': 1.0.0.1\n`,
    );
    const expected = {
      "full.example": "full.example",
      "x.full.example": "nameserver",
      "a.one.example": "-.one.example",
      "a.b.one.example": "nameserver",
      "below.example": "nameserver",
      "a.b.below.example": ".below.example",
      "all.example": "-.all.example",
      "www.all.example": "www.all.example",
    };
    const got = await decisions(outcome, expected);
    const names = Object.fromEntries(Object.entries(expected).map(([name, group]) => [name, group.replace(/^-?\./, "")]));
    expect(got).toEqual(names);
  });

  test("fallback compares by the country's addresses (30), and a filter without one is inert", async () => {
    const outcome = await mihomo(
      `${NAMESERVER}  fallback: [https://8.8.8.8/dns-query]\n  fallback-filter: { geoip: false, ipcidr: [240.0.0.0/4], domain: ['+.google.example'] }\n`,
    );
    await expectDecisions(outcome, { "www.google.example": "fallback" });
    expect(outcome.config?.poison).toEqual([]);
    expect(outcome.text).toContain("drop: [ 240.0.0.0/4 ]");
    expect(outcome.told("changed")).toContain("mihomo asked `nameserver` alone for types other than A and AAAA, whatever came");
    const judged = await mihomo(`${NAMESERVER}  fallback: [tls://1.1.1.1]\n  fallback-filter: { ipcidr: [240.0.0.0/4] }\n`, "", {
      "geoip.dat": "",
    });
    expect(judged.told("changed")).toContain("addresses of `ipcidr` are void for every group, of `fallback` and of policies too");
    const named = await mihomo(
      `${NAMESERVER}  fallback: [tls://1.1.1.1]\n  fallback-filter: { geoip: false, domain: ['+.google.com'] }\n`,
    );
    expect(named.told("changed")).toContain("names of `fallback-filter` go to `fallback` with every type");
    const inert = await mihomo(`${NAMESERVER}  fallback-filter: { geoip: true, ipcidr: [240.0.0.0/4] }\n`);
    expect(inert.config?.poison).toEqual([]);
    await expectDecisions(inert, { "x.example": "nameserver" });
    const missing = await mihomo(`${NAMESERVER}  fallback: [https://8.8.8.8/dns-query]\n`);
    expect(missing.code).toBe(1);
    expect(missing.told("leak")).toContain("the list `geoip-CN`");
  });

  test("names with fake addresses go to mihomo (26)", async () => {
    const outcome = await mihomo(
      `${NAMESERVER}  listen: 0.0.0.0:1053\n  enhanced-mode: fake-ip\n  fake-ip-filter: ['+.corp.example']\n`,
    );
    await expectDecisions(outcome, { "x.example": "mihomo", "a.corp.example": "nameserver" });
    expect(outcome.config?.upstreams.groups[0]).toMatchObject({ volatile: true, asksFrom: [] });
  });

  test.each(["127.0.0.1:53", "system", "tcp://127.0.0.1:5353"])(
    "where mihomo itself asks %s, its questions do not go back to it, and those of this machine are denied",
    async (server) => {
      const outcome = await mihomo(
        `${NAMESERVER}  listen: 0.0.0.0:1053\n  enhanced-mode: fake-ip\n  nameserver-policy: { '+.corp.example': '${server}' }\n`,
      );
      expect(outcome.config?.upstreams.groups[0]).toMatchObject({ asksFrom: ["127.0.0.1/32"] });
      expect(outcome.told("changed")).toContain("such names are denied to programs of this machine: see `asksFrom`");
    },
  );

  test("private names are answered here, not asked of mihomo, which makes addresses up or asks its own servers", async () => {
    const outcome = await mihomo(`${NAMESERVER}  listen: 0.0.0.0:1053\n  enhanced-mode: fake-ip\n`);
    await expectDecisions(outcome, {
      "x.example": "mihomo",
      "nas.home.arpa": "nxdomain",
      "5.1.168.192.in-addr.arpa PTR": "nxdomain",
    });
    expect(outcome.told("changed").match(/names of lan, local/g)).toHaveLength(1);
  });

  test("sets that cannot be read are told together; those that block let nothing out", async () => {
    const provider = (name: string) => `  ${name}: { type: http, format: mrs, path: ./${name}.mrs }\n`;
    const policies = (policy: string) => `${NAMESERVER}  nameserver-policy: { ${policy} }\n`;
    const providers = `rule-providers:\n${provider("cn")}${provider("private")}${provider("ads")}  own: { path: own.txt }\n`;
    const files = { "own.txt": "payload:\n  - '+.ads.example'\n" };
    const leaks = await mihomo(policies("'rule-set:cn,private': 119.29.29.29"), providers, files);
    expect(leaks.told("leak")).toMatch(
      /^4: `rule-set:cn`, `rule-set:private`: a file of the format mrs cannot be read: .*would go the way/,
    );
    const blocks = await mihomo(policies("'rule-set:ads,own': rcode://success"), providers, files);
    expect(blocks.code).toBe(0);
    await expectDecisions(blocks, { "x.ads.example": "nodata", "x.example": "nameserver" });
    expect(blocks.told("changed")).toMatch(/`rule-set:ads`: a file of the format mrs cannot be read: .*nothing is blocked by it/);
  });

  test("a proxy of the type `direct` is none, and servers of two ways in one list are named", async () => {
    const direct = await mihomo(
      "  nameserver: ['https://223.5.5.5/dns-query#home']\n",
      "proxies: [{ name: home, type: direct }]\n",
    );
    expect(direct.code).toBe(0);
    const mixed = await mihomo("  respect-rules: true\n  nameserver: [223.5.5.5, 'https://8.8.8.8/dns-query']\n");
    expect(mixed.error?.message).toContain(
      "of `nameserver`, `https://8.8.8.8` are asked through a proxy, and `223.5.5.5` are not",
    );
  });

  test("rules for fake addresses hold in their order", async () => {
    const outcome = await mihomo(
      `${NAMESERVER}  listen: :1053\n  enhanced-mode: fake-ip\n  fake-ip-filter-mode: rule\n  fake-ip-filter: ['DOMAIN,a.corp.example,real-ip', 'DOMAIN-SUFFIX,corp.example,fake-ip', 'domain-keyword,home,fake-ip', 'MATCH,real-ip']\n`,
    );
    await expectDecisions(outcome, {
      "a.corp.example": "nameserver",
      "b.corp.example": "mihomo",
      "a-home.example": "mihomo",
      "x.example": "nameserver",
    });
  });

  test("the resolvers of the host are those, and AAAA is empty unless it is switched on", async () => {
    const outcome = await mihomo("  nameserver: [system]\n");
    expect(outcome.text).toContain("nameserver: { servers: [ system ] }");
    expect(outcome.text).toContain("ipv6: nodata");
    expect((await mihomo(`${NAMESERVER}  ipv6: true\n`)).text).not.toContain("ipv6");
    expect((await mihomo(`${NAMESERVER}  ipv6: true\n`, "ipv6: false\n")).text).toContain("ipv6: nodata");
  });

  test("a server behind a proxy is not asked without one (13, 27)", async () => {
    const dns = `${NAMESERVER}  nameserver-policy: { '+.google.example': 'https://8.8.8.8/dns-query#node' }\n`;
    const refused = await mihomo(dns);
    expect(refused).toMatchObject({ code: 1, text: "" });
    expect(refused.told("leak")).toContain("`https://8.8.8.8` is asked through `node`: give its port with --proxy");
    const outcome = await mihomo(dns, "", {}, "--proxy", "socks5://127.0.0.1:7890");
    expect(outcome.config?.upstreams.groups.map(({ proxy }) => proxy?.port ?? null)).toContain(7890);
    const byRules = await mihomo(`  respect-rules: true\n  nameserver: [https://8.8.8.8/dns-query]\n`);
    expect(byRules.code).toBe(1);
  });

  test("the subnet of some servers of a group is told", async () => {
    const outcome = await mihomo("  nameserver: ['tls://8.8.4.4', 'https://1.0.0.1/dns-query#ecs=1.2.3.0/24']\n");
    expect(outcome.told("changed")).toContain("`ecs=1.2.3.0/24` of some servers is sent to all servers of `nameserver`");
  });

  test("that an alias holds for every type is told", async () => {
    const outcome = await mihomo(NAMESERVER, "hosts: { a.example: b.example }\n");
    expect(outcome.told("changed")).toContain("questions of every type follow an alias; mihomo asked servers");
    await expectDecisions(outcome, { "a.example": "alias", "a.example TXT": "alias" });
  });

  test("that mihomo gives IPv4 addresses as AAAA is told", async () => {
    const star = await mihomo(NAMESERVER, "hosts: { '*.dev.example': 10.0.0.9 }\n");
    expect(star.told("changed")).toContain("`*.dev.example` of `hosts` was one label below the name, no more: here it is every");
    const outcome = await mihomo(NAMESERVER, "hosts: { nas.example: 10.0.0.9, both.example: [10.0.0.8, 'fd00::8'] }\n");
    expect(outcome.told("changed")).toContain("AAAA of a name with IPv4 alone, such as `nas.example`, is empty");
    const both = await mihomo(NAMESERVER, "hosts: { both.example: [10.0.0.8, 'fd00::8'] }\n");
    expect(both.told("changed")).not.toContain("with IPv4 alone");
  });

  test("hosts, rcodes, and the names of the proxies themselves (28)", async () => {
    const rest =
      "hosts: { 'router.corp.example': 192.168.1.1, '+.lab.example': 10.1.1.1, 'a.example': b.example }\nproxies: [{ name: n, type: ss, server: node.example, port: 1 }]\n";
    const outcome = await mihomo(
      `${NAMESERVER}  proxy-server-nameserver: [119.29.29.29]\n  nameserver-policy: { '+.ads.example': 'rcode://refused' }\n`,
      rest,
    );
    await expectDecisions(outcome, {
      "router.corp.example": "addresses",
      "x.lab.example": "addresses",
      "a.example": "alias",
      "www.ads.example": "refused",
      "node.example": "proxy-server-nameserver",
    });
  });
});

test("each family of a name of smartdns has its own line, and a longer name inherits the one that it has no line for", async () => {
  const outcome = await runImport("smartdns.conf", {
    "smartdns.conf": `server 223.5.5.5
address /box.example/10.1.2.3
address /box.example/fd00::1
address /six.box.example/fd00::2
`,
  });
  const questions = ["box.example A", "box.example AAAA", "six.box.example A", "six.box.example AAAA"];
  expect(await decide(outcome, questions)).toEqual(["addresses", "addresses", "addresses", "addresses"]);
});

test("of a set and a line of smartdns for one name the set counts, and `nameserver /x/-` that takes longer names along is a leak", async () => {
  const files = { "some.txt": "a.example.com\n" };
  const servers =
    "server 223.5.5.5\nserver 8.8.8.8 -group far -exclude-default-group\nserver 192.168.7.1 -group home -exclude-default-group\n";
  const set = "domain-set -name some -file some.txt\nnameserver /domain-set:some/home\nnameserver /a.example.com/far\n";
  const outcome = await runImport("smartdns.conf", { ...files, "smartdns.conf": `${servers}${set}` });
  expect(await decide(outcome, ["a.example.com"])).toEqual(["home"]);
  const freed = `${servers}nameserver /b.a.example.com/far\nnameserver /a.example.com/-\n`;
  const closed = await runImport("smartdns.conf", { ...files, "smartdns.conf": freed });
  expect(closed.told("leak")).toMatch(/^5: smartdns 40 sends every name below to the default group/);
});

test("an exception of AdGuard Home with `$important` pierces `$important`, another does not", async () => {
  const rules = ["||ads.example^$important", "@@||my.ads.example^$important", "@@||other.ads.example^"];
  const outcome = await runImport("AdGuardHome.yaml", {
    "AdGuardHome.yaml": `dns:\n  upstream_dns: [223.5.5.5]\nuser_rules: ${JSON.stringify(rules)}\nfiltering: { protection_enabled: true, filtering_enabled: true }\n`,
  });
  expect(await decide(outcome, ["my.ads.example", "other.ads.example", "ads.example"])).toEqual([
    "upstream",
    "addresses",
    "addresses",
  ]);
});

test("`no-ipv6` of chinadns-ng for a tag holds for names of no list too, where the tag is their default", async () => {
  const outcome = await runImport("chinadns-ng.conf", {
    "chinadns-ng.conf": "china-dns 223.5.5.5\ntrust-dns 8.8.8.8\nchnlist-file chn.txt\ndefault-tag gfw\nno-ipv6 tag:gfw\n",
    "chn.txt": "home.example\n",
  });
  expect(await decide(outcome, ["w.example AAAA", "w.example A", "home.example AAAA"])).toEqual(["nodata", "trust", "china"]);
});

test("of `no-ipv6` of chinadns-ng what is about addresses is told, and the other tags hold", async () => {
  const outcome = await runImport("chinadns-ng.conf", {
    "chinadns-ng.conf":
      "china-dns 223.5.5.5\ntrust-dns 8.8.8.8\nchnlist-file chn.txt\ngfwlist-file gfw.txt\ndefault-tag chn\nno-ipv6 tag:gfw,tag:chn@ip:non_china\n",
    "chn.txt": "home.example\n",
    "gfw.txt": "far.example\n",
  });
  expect(await decide(outcome, ["far.example AAAA", "far.example", "home.example AAAA"])).toEqual(["nodata", "trust", "china"]);
  expect(outcome.told("changed")).toContain("6: `tag:chn@ip:non_china` of `no-ipv6`: by address AAAA is not emptied");
});

test("chinadns-ng: included files, the group of names that no list knows, and types that are none", async () => {
  const outcome = await runImport("chinadns-ng.conf", {
    "chinadns-ng.conf": "config more.conf\nchnlist-file chn.txt\ndefault-tag office\nfilter-qtype 65,AAAAA\n",
    "more.conf": "china-dns 223.5.5.5\ntrust-dns 8.8.8.8\ngroup office\ngroup-upstream 10.0.0.1\n",
    "chn.txt": "home.example\n",
  });
  expect(await decide(outcome, ["w.example", "home.example"])).toEqual(["office", "china"]);
  expect(outcome.told("left")).toContain("4: `AAAAA` of `filter-qtype` is no type");
  const files = {
    "chinadns-ng.conf": "china-dns 223.5.5.5\nchnlist-file chn.txt\ndefault-tag null\n",
    "chn.txt": "home.example\n",
  };
  expect(await decide(await runImport("chinadns-ng.conf", files), ["w.example", "home.example"])).toEqual(["nodata", "china"]);
});

test("the name of `+.x` beats a star in a policy of mihomo", async () => {
  const outcome = await runImport("config.yaml", {
    "config.yaml": `dns:\n  ipv6: true\n  nameserver: [223.5.5.5]\n  nameserver-policy:\n    "*.a.example.com": 192.0.2.1\n    "+.b.a.example.com": 192.0.2.3\n`,
  });
  const [star, literal, below] = await decide(outcome, ["c.a.example.com", "b.a.example.com", "x.b.a.example.com"]);
  expect(literal).toBe(below);
  expect(star).not.toBe(literal);
});

test("what mosdns-x and its derivatives have besides: ANY is empty, aliases and all addresses are shown, which is told", async () => {
  const outcome = await runImport("config.yaml", {
    "config.yaml": `plugins:
  - { tag: two, type: limit_ip, args: { limit: 2 } }
  - { tag: up, type: fast_forward, args: { upstream: [{ addr: 8.8.8.8 }] } }
${sequence("main", "_reject_any\nup\ntwo\n_no_cname", true)}servers:
  - { exec: main, listeners: [{ protocol: udp, addr: "127.0.0.1:5300" }] }
`,
  });
  expect(await decide(outcome, ["x.example ANY", "x.example"])).toEqual(["nodata", "up"]);
  expect(outcome.told("changed")).toContain("aliases on the way to an address are shown: `_no_cname` took them out");
  expect(outcome.told("changed")).toContain("answers hold all their addresses: `two` left some of them");
});
