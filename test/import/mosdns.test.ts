import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CHINA_ADDRESSES, expectDecisions, type Outcome, runImport, sequence } from "./sources.ts";

const LISTS = {
  "china.txt": "shop.example\nfull:one.example\nkeyword:mainland\n",
  "gfw.txt": "search.example\n",
  "ads.txt": "ads.example\n",
  "china-ip.txt": CHINA_ADDRESSES,
  "banned.txt": "203.0.113.7\n",
};

const SETS = `plugins:
  - { tag: china, type: domain_set, args: { files: [china.txt] } }
  - { tag: gfw, type: domain_set, args: { files: [gfw.txt] } }
  - { tag: ads, type: domain_set, args: { files: [ads.txt] } }
  - { tag: home, type: ip_set, args: { files: [china-ip.txt] } }
  - { tag: banned, type: ip_set, args: { files: [banned.txt] } }
  - { tag: near, type: forward, args: { concurrent: 2, upstreams: [{ addr: 223.5.5.5 }, { addr: 119.29.29.29, tag: pod }] } }
  - { tag: far, type: forward, args: { upstreams: [{ addr: "tls://8.8.8.8" }, { addr: "tls://1.1.1.1" }] } }
`;

/** Version 5: a main sequence of these steps. */
function five(
  steps: string,
  plugins = "",
  files: Readonly<Record<string, string>> = {},
  ...options: readonly string[]
): Promise<Outcome> {
  const text = `${SETS}${plugins}${sequence("main", steps)}  - { tag: udp, type: udp_server, args: { entry: main, listen: "127.0.0.1:5353" } }\n`;
  return runImport("config.yaml", { ...LISTS, "config.yaml": text, ...files }, ...options);
}

/** A field of a .dat file that holds a text. */
function field(number: number, text: string): string {
  return `${String.fromCharCode(number * 8 + 2, text.length)}${text}`;
}

describe("the control flow of mosdns 5", () => {
  test("a return under a condition holds for the rest of its sequence (wrong translation 1)", async () => {
    const outcome = await five(
      "exec: $local\n{ matches: has_resp, exec: accept }\nexec: $far",
      sequence("local", '{ matches: "!qname $china", exec: return }\nexec: $near'),
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, {
      "www.shop.example": "near",
      "one.example": "near",
      "www.one.example": "far",
      "unknown.example": "far",
    });
  });

  test("an accept in a called sequence ends that sequence only; after a jump it ends all sequences (9)", async () => {
    const inner = sequence("inner", "exec: $near\nexec: accept");
    await expectDecisions(await five("exec: $inner\nexec: $far", inner), { "x.example": "far" });
    await expectDecisions(await five("exec: jump inner\nexec: $far", inner), { "x.example": "near" });
    const outcome = await five("exec: $inner\nexec: $far", inner);
    expect(outcome.told("changed")).toContain("`near` was asked as well, and its answer overwritten");
  });

  test("what is answered where the servers fail is told: here that is SERVFAIL", async () => {
    const outcome = await five("exec: $near\n{ matches: rcode 2, exec: black_hole 0.0.0.0 }");
    expect(outcome.code).toBe(0);
    expect(outcome.told("changed")).toMatch(/: where `near` failed something else was answered; here it is SERVFAIL$/m);
    await expectDecisions(outcome, { "x.example": "near" });
  });

  test("lines of one server at several addresses are one server at all of them", async () => {
    const outcome = await five(
      "exec: $twice",
      '  - { tag: twice, type: forward, args: { concurrent: 2, upstreams: [{ addr: "https://dns.alidns.com/dns-query", dial_addr: 223.6.6.6 }, { addr: "https://dns.alidns.com/dns-query", dial_addr: "2400:3200::1" }] } }\n',
    );
    expect(outcome.config?.upstreams.groups[0]?.servers.map(({ addresses }) => addresses)).toEqual([
      ["223.6.6.6", "2400:3200::1"],
    ]);
  });

  test("questions about private addresses stay with the router that they were sent to (33)", async () => {
    const outcome = await five(
      "{ matches: qtype 12, exec: forward 192.168.1.1 }\n{ matches: has_resp, exec: accept }\nexec: $far",
    );
    await expectDecisions(outcome, {
      "9.1.168.192.in-addr.arpa PTR": "192.168.1.1",
      "8.8.8.8.in-addr.arpa PTR": "192.168.1.1",
      "x.example": "far",
    });
  });

  test("a goto never returns", async () => {
    const outcome = await five("{ matches: qname $gfw, exec: goto away }\nexec: $near", sequence("away", "exec: $far"));
    await expectDecisions(outcome, { "search.example": "far", "x.example": "near" });
  });

  test("two conditions on names must both hold", async () => {
    const outcome = await five(
      '{ matches: [qname $china, "qname keyword:special"], exec: $far }\n{ matches: has_resp, exec: accept }\nexec: $near',
    );
    await expectDecisions(outcome, { "special.shop.example": "far", "www.shop.example": "near", "special.example": "near" });
  });

  test("marks are followed, and types and clients may be negated", async () => {
    const outcome = await five(`{ matches: qname $gfw, exec: mark 7 }
      { matches: "!qtype 1 28", exec: $near }
      { matches: has_resp, exec: accept }
      { matches: mark 7, exec: $far }
      { matches: has_resp, exec: accept }
      { matches: "!client_ip 10.0.7.0/24", exec: $near }
      { matches: has_resp, exec: accept }
      exec: $far`);
    await expectDecisions(outcome, {
      "search.example MX": "near",
      "search.example": "far",
      "x.example": "near",
      "x.example @10.0.7.3": "far",
      "x.example TXT @10.0.7.3": "near",
    });
  });

  test("a forward with tags becomes a group of the tagged members", async () => {
    const outcome = await five("exec: $near pod");
    expect(outcome.config?.upstreams.groups.map(({ servers }) => servers.map(({ label }) => label))).toEqual([["119.29.29.29"]]);
  });
});

describe("answers that are judged", () => {
  const unknown = { "unknown.example": "near|far" };

  test.each([
    [
      "a fallback whose primary drops foreign answers (I1)",
      "exec: $both",
      `${sequence("first", 'exec: ecs 1.2.3.0\nexec: $near\n{ matches: "!resp_ip $home", exec: drop_resp }')}${sequence("second", "exec: prefer_ipv4\nexec: $far")}  - { tag: both, type: fallback, args: { primary: first, secondary: second, threshold: 200 } }\n`,
    ],
    [
      "kept, or dropped and asked abroad (2)",
      "exec: $near\n{ matches: resp_ip $home, exec: accept }\nexec: drop_resp\nexec: $far",
      "",
    ],
  ])("%s become compare", async (_, steps, plugins) => {
    const outcome = await five(steps, plugins);
    await expectDecisions(outcome, unknown);
    expect(outcome.config?.rules.at(-1)?.action).toMatchObject({ compare: { near: "near", far: "far", keepNearIf: "home" } });
  });

  test("the ECS of one branch is sent only to its group, and a preference of one branch is left out (I2)", async () => {
    const plugins = `${sequence("first", 'exec: $near\n{ matches: "!resp_ip $home", exec: drop_resp }')}${sequence("second", "exec: prefer_ipv4\nexec: ecs 1.2.3.0\nexec: $far")}  - { tag: both, type: fallback, args: { primary: first, secondary: second } }\n`;
    const outcome = await five("exec: $both", plugins);
    const groups = new Map(outcome.config?.upstreams.groups.map((group) => [group.name, group.ecs]));
    expect(groups.get("near")).toBeNull();
    expect(groups.get("far")).toMatchObject({ subnet: "1.2.3.0/24" });
    expect(outcome.config?.rules.at(-1)?.modifiers).toEqual({});
    expect(outcome.told("changed")).toContain("`ipv6` for answers of `far` alone is left out");
  });

  test("what holds for answers of the first group of a fallback alone holds for the other too, and is told there", async () => {
    const plugins = `${sequence("first", "exec: prefer_ipv4\nexec: $near")}${sequence("second", "exec: $far")}  - { tag: both, type: fallback, args: { primary: first, secondary: second } }\n`;
    const outcome = await five("exec: $both", plugins);
    expect(outcome.config?.rules.at(-1)?.modifiers).toMatchObject({ ipv6: "prefer-ipv4" });
    expect(outcome.told("changed")).toContain(
      "`ipv6` for answers of `near` holds for those of `far` too, which stands in for it",
    );
    const same = await five("exec: prefer_ipv4\nexec: $both", plugins.replace("exec: prefer_ipv4\n      - ", ""));
    expect(same.told("changed")).not.toContain("stands in for it");
  });

  test("asking the far group first is carried so that unknown names are not shown to the domestic side (3, I3)", async () => {
    const outcome = await five("exec: $far\n{ matches: resp_ip $home, exec: $near }");
    await expectDecisions(outcome, { "unknown.example": "near|far" });
    const compares = outcome.config?.rules.map(({ action }) => (action?.kind === "compare" ? action.compare.first : null));
    expect(compares).toEqual(["far"]);
  });

  test("forged addresses become `poison`, and the other group is the fallback (I3)", async () => {
    const outcome = await five("exec: $near\n{ matches: resp_ip $banned, exec: $far }");
    expect(outcome.config?.poison).toEqual(["list:banned"]);
    expect(outcome.config?.upstreams.groups.find(({ name }) => name === "near-then-far")?.fallback).toBe("far");
  });

  test("the report names a fallback without a condition on the answer (6, 7)", async () => {
    const both = (primary: string, secondary: string) =>
      `  - { tag: both, type: fallback, args: { primary: ${primary}, secondary: ${secondary} } }\n`;
    expect((await five("exec: $both", both("far", "near"))).told("risk")).toContain(
      "foreign names are shown to domestic resolvers then",
    );
    expect((await five("exec: $both", both("near", "far"))).told("risk")).toContain("a quick answer of `near` wins");
  });

  const CDN = '  - { tag: cdn, type: ip_set, args: { ips: ["198.51.100.0/24"] } }\n';

  test("addresses of a CDN give way to chosen ones if a list tells them and one group answers, else they pass as they come", async () => {
    const outcome = await five(
      "exec: $near\n{ matches: [qtype 1, resp_ip $cdn], exec: black_hole 192.0.2.9 }\nexec: accept",
      CDN,
    );
    await expectDecisions(outcome, { "x.example": "near" });
    expect(outcome.text).toContain("replace: { list:replaced: 192.0.2.9 }");
    expect(outcome.told("changed")).toContain("14: addresses of this list give way to 192.0.2.9");
    const byAlias = await five("exec: $near\n{ matches: cname cdn.example, exec: black_hole 192.0.2.9 }\nexec: accept");
    await expectDecisions(byAlias, { "x.example": "near" });
    expect(byAlias.told("changed")).toContain("replaced by chosen ones");
  });

  test("a block by the alias of an answer sends no name elsewhere, and is told", async () => {
    const outcome = await five("exec: $near\n{ matches: cname ads.example, exec: reject 3 }\nexec: accept");
    await expectDecisions(outcome, { "x.example": "near" });
    expect(outcome.told("risk")).toContain("the condition `cname ads.example` is not followed: what was answered `nxdomain`");
    const elsewhere = await five("exec: $near\n{ matches: cname far.example, exec: $far }\nexec: accept");
    expect(elsewhere).toMatchObject({ code: 1, text: "" });
  });

  test("each list that answers are tested by counts on its own", async () => {
    const kept = await five(
      "exec: $near\n{ matches: resp_ip $cdn, exec: accept }\n{ matches: resp_ip $banned, exec: $far }\nexec: accept",
      CDN,
    );
    await expectDecisions(kept, { "x.example": "near-then-far" });
    expect(kept.config?.poison).toEqual(["list:banned"]);
    const compared = await five(
      "exec: $near\n{ matches: resp_ip $cdn, exec: accept }\n{ matches: resp_ip $home, exec: accept }\nexec: $far",
      CDN,
    );
    await expectDecisions(compared, { "x.example": "near|far" });
    expect(compared.text).toMatch(/near: \{ addresses: \[ china-ip.txt, lists\/near.txt \] \}/);
  });

  test("addresses that another group is asked about are taken out of the answers of one group alone", async () => {
    const outcome = await five("exec: $near\n{ matches: resp_ip $cdn, exec: $far }\nexec: accept", CDN);
    await expectDecisions(outcome, { "x.example": "near-then-far" });
    expect(outcome.text).toContain("drop: [ 198.51.100.0/24 ]");
    expect(outcome.config?.poison).toEqual([]);
    const within = await five(
      "exec: $near\n{ matches: '!resp_ip $home', exec: $far }\n{ matches: resp_ip $cdn, exec: $far }\nexec: accept",
      CDN,
    );
    await expectDecisions(within, { "x.example": "near|far" });
    expect(within.text).toContain("drop: [ 198.51.100.0/24 ]");
  });

  test("a TTL before a question changes nothing (35)", async () => {
    const before = await five("exec: ttl 5-180\nexec: $near");
    const after = await five("exec: $near\nexec: ttl 5-180");
    expect(before.config?.rules.at(-1)?.modifiers.ttl).toBeUndefined();
    expect(after.config?.rules.at(-1)?.modifiers.ttl).toEqual({ minSeconds: 5, maxSeconds: 180 });
  });

  test("two branches of a fallback that part into many ways each are joined without every way of the one with every way of the other", async () => {
    const branch = [
      "exec: drop_resp",
      "exec: $far",
      "{ matches: [resp_ip $home, qname full:b.example a.b.example], exec: $near }",
      "{ matches: ['!resp_ip $banned', '!has_wanted_ans'], exec: mark 7 }",
      "{ matches: qtype 28, exec: black_hole 0.0.0.0 }",
    ].join("\n");
    const outcome = await five(
      "exec: $outer",
      [
        sequence("branch", branch),
        "  - { tag: inner, type: fallback, args: { primary: branch, secondary: branch } }\n",
        sequence("first", "{ matches: ['!qtype 16', '!qtype 16'], exec: $inner }\n{ matches: mark 7, exec: $far }"),
        sequence(
          "second",
          "exec: goto branch\n{ matches: has_resp, exec: black_hole 0.0.0.0 }\n{ matches: [mark 7, '!qtype 1'], exec: reject 3 }",
        ),
        "  - { tag: outer, type: fallback, args: { primary: first, secondary: second } }\n",
      ].join(""),
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, { "c.example": "far-then-far" });
  });
});

describe("unknown parts of a configuration", () => {
  const MORE = "  - { tag: more, type: domain_set, args: { files: [more.txt] } }\n";
  const byMore = (action: string) =>
    `{ matches: qname $more, exec: ${action} }\n{ matches: has_resp, exec: accept }\nexec: $near`;

  test("names of servers that cannot be asked do not fall to the next rule (4)", async () => {
    const outcome = await five(
      "{ matches: qname $gfw, exec: $only }\n{ matches: has_resp, exec: accept }\nexec: $near",
      '  - { tag: only, type: forward, args: { upstreams: [{ addr: "quic://dns.example" }] } }\n',
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, { "search.example": "refused", "x.example": "near" });
    expect(outcome.told("blank")).toMatch(
      /none of the servers of `only` can be asked: .*`quic:\/\/` is no protocol for a server \(line \d+\): its names are refused/,
    );
    expect(outcome.text).toContain("# Closed: none of the servers of `only` can be asked");
  });

  test("what a redirect after other steps, and a comparison, do otherwise is told", async () => {
    const redirect = "  - { tag: other, type: redirect, args: { rules: [a.example b.example] } }\n";
    const later = await five("{ matches: qname $china, exec: reject 3 }\nexec: $other\nexec: $near", redirect);
    expect(later.told("changed")).toContain("the aliases come before all rules, also before those that stood above them");
    expect(later.told("changed")).toContain("what its aliases point to goes through all hosts, aliases and rules here");
    const first = await five("exec: $other\nexec: $near", redirect);
    expect(first.told("changed")).not.toContain("come before all rules");
    const compared = await five("exec: $near\n{ matches: '!resp_ip $home', exec: $far }");
    expect(compared.told("changed")).toContain("Where `far` fails, an address of `near` that is not in the list is given");
  });

  test("names of servers behind a proxy that is none are refused", async () => {
    const outcome = await five(
      "{ matches: qname $gfw, exec: $only }\n{ matches: has_resp, exec: accept }\nexec: $near",
      "  - { tag: only, type: forward, args: { socks5: '127.0.0.1:1080\"', upstreams: [{ addr: 8.8.8.8 }] } }\n",
    );
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, { "search.example": "refused", "x.example": "near" });
    expect(outcome.told("blank")).toContain("the proxy of `only` is none");
  });

  test.each(["$plugin_of_a_fork", "$odd"])("a step %s refuses the names that reach it", async (step) => {
    const outcome = await five(`{ matches: qname $gfw, exec: ${step} }\nexec: $near`, "  - { tag: odd, type: something_else }\n");
    await expectDecisions(outcome, { "search.example": "refused", "x.example": "near" });
  });

  test("an unknown condition refuses the names that it may match (5)", async () => {
    const outcome = await five(
      '{ matches: [qname $gfw, "random 0.5"], exec: $near }\n{ matches: has_resp, exec: accept }\nexec: $far',
    );
    await expectDecisions(outcome, { "search.example": "refused", "x.example": "far" });
  });

  test.each([
    ["a condition on every name", "{ matches: random 0.5, exec: $near }\nexec: $far", "`random 0.5`"],
    [
      "an end that is not known",
      "{ matches: qname $china, exec: $near }\n{ matches: has_resp, exec: accept }\nexec: $odd",
      "`odd` is a plugin of type",
    ],
    ["a circle", "exec: $main", "circle"],
    [
      "conditions on one answer after another that multiply the ways",
      `exec: $near\n${Array.from({ length: 8 }, (_, turn) => `{ matches: resp_ip 192.0.2.${turn}, exec: black_hole 192.0.2.9 }\n{ matches: qtype ${turn + 20}, exec: $far }`).join("\n")}`,
      "part into more ways than can be followed",
    ],
  ])("no file is written for %s", async (_, steps, why) => {
    const outcome = await five(steps, "  - { tag: odd, type: something_else }\n");
    expect(outcome).toMatchObject({ code: 1, text: "" });
    expect(outcome.error?.message).toContain(why);
  });

  test("a file with variables is refused", async () => {
    const outcome = await five(`exec: forward $\{DNS}`);
    expect(outcome).toMatchObject({
      code: 1,
      error: { message: expect.stringMatching(/^`\$\{DNS\}` is filled in when mosdns starts/) },
    });
  });

  test.each([
    ["missing", {}, "no such file"],
    ["empty", { "more.txt": "# nothing\n" }, "is empty"],
  ])("a list that is %s is an error, unless it only blocks (37)", async (_, files, why) => {
    const outcome = await five(byMore("$far"), MORE, files);
    expect(outcome).toMatchObject({ code: 1, text: "" });
    expect(outcome.told("leak")).toMatch(new RegExp(`the list .more.: .*more.txt.*${why}`));
    expect((await five(byMore("$far"), MORE, files, "--allow-leaks")).code).toBe(0);
    const blocking = await five(byMore("reject 3"), MORE, files);
    expect(blocking.code).toBe(0);
    expect(blocking.told("changed")).toContain("nothing is blocked by it");
  });

  test("`*.x` matches nothing there and everything here (38)", async () => {
    const outcome = await five(byMore("$far"), MORE, { "more.txt": "a.example\n*.b.example\n" });
    expect(outcome.code).toBe(1);
    expect(outcome.told("leak")).toContain("2: `*.b.example` of the list `more`");
    const many = await five(byMore("$far"), MORE, { "more.txt": "a.example\n*.b.example\n".repeat(6) });
    expect(many.told("leak")).toMatch(/^12: one further line of the list `more` with `\*\.`/m);
  });

  test("a name with a star in it never matched there, so that nothing is lost, however many there are", async () => {
    const starred = Array.from({ length: 30 }, (_, index) => `s3-ap-${index}-*.amazonaws.com\n`).join("");
    const outcome = await five(byMore("$far"), MORE, { "more.txt": `a.example\nfull:a-*.b.example\n${starred}` });
    expect(outcome.code).toBe(0);
    expect(outcome.told("left")).toMatch(/^2: `full:a-\*\.b\.example` of the list `more`: .* never matched a name$/m);
    expect(outcome.told("left")).toMatch(/^7: from here on 26 further lines of the list `more` with a star/m);
    await expectDecisions(outcome, { "x.a.example": "far", "s3-ap-1-x.amazonaws.com": "near" });
  });

  test("a regular expression that cannot be used is named with its line", async () => {
    const outcome = await five(byMore("$far"), MORE, { "more.txt": "a.example\nregexp:(a+)+\\z\n" });
    expect(outcome.told("leak")).toMatch(/^2: a line of the list `more` that cannot be used/m);
  });

  test("no file is written for listeners that run different sequences", async () => {
    const outcome = await five(
      "exec: $near",
      `${sequence("other", "exec: $far")}  - { tag: second, type: tcp_server, args: { entry: other, listen: "127.0.0.1:53" } }\n`,
    );
    expect(outcome.error?.message).toContain("all ports share one set of rules");
  });

  test("names of one group with servers behind different proxies are refused (13)", async () => {
    const outcome = await five(
      "exec: $mix",
      '  - { tag: mix, type: forward, args: { upstreams: [{ addr: "tcp://8.8.8.8", socks5: "127.0.0.1:1080" }, { addr: "tcp://1.1.1.1" }] } }\n',
    );
    expect(outcome.error?.message).toContain("different proxies");
  });
});

describe("answers made here", () => {
  test("HTTPS is emptied and the name stays (20); zeros close the name and say so (19)", async () => {
    const outcome = await five(
      "{ matches: qtype 65 12, exec: reject 3 }\n{ matches: qname $ads, exec: black_hole 0.0.0.0 }\n{ matches: has_resp, exec: accept }\nexec: $near",
    );
    await expectDecisions(outcome, {
      "x.example HTTPS": "nodata",
      "4.3.2.1.in-addr.arpa PTR": "nodata",
      "x.example": "near",
      "www.ads.example": "addresses",
    });
    expect(outcome.config?.rules.map(({ action }) => (action?.kind === "answer" ? action.answer : null))).toEqual([
      null,
      "nodata",
      "zero",
      null,
    ]);
    expect(outcome.told("changed")).toContain("NODATA, not nxdomain");
    expect(outcome.told("changed")).toContain("closes every type of the name");
  });

  test("a name without an answer is refused, as by mosdns (3)", async () => {
    const outcome = await five("{ matches: qname $china, exec: $near }");
    await expectDecisions(outcome, { "shop.example": "near", "x.example": "refused" });
  });

  test("a bare name of hosts matches only itself, and its other types are forwarded (15, 17)", async () => {
    const outcome = await five(
      "exec: $names\n{ matches: has_resp, exec: accept }\nexec: $near",
      '  - { tag: names, type: hosts, args: { entries: ["host.example 10.0.0.9", "domain:apps.test 10.0.0.8", "keyword:printer 10.0.0.7"] } }\n',
    );
    await expectDecisions(outcome, {
      "host.example": "addresses",
      "host.example MX": "near",
      "host.example AAAA": "nodata",
      "x.apps.test AAAA": "nodata",
      "deep.apps.test": "addresses",
    });
    expect(outcome.told("blank")).toContain("`keyword:printer`: the hosts table has names");
  });

  test("a redirected name is an alias", async () => {
    const outcome = await five(
      "exec: $to\nexec: $near",
      '  - { tag: to, type: redirect, args: { rules: ["old.example new.example", "domain:cdn.example best.cdn.example"] } }\n',
    );
    await expectDecisions(outcome, {
      "old.example": "alias",
      "www.old.example": "near",
      "x.cdn.example": "alias",
      "best.cdn.example": "near",
    });
  });

  test("a redirect ends with its sequence: where none of its later steps answers, the report says that the name itself was asked", async () => {
    const to = '  - { tag: to, type: redirect, args: { rules: ["old.example new.example"] } }\n';
    const ended = "of its sequence answers, mosdns asks for `old.example` itself: here it is always an alias";
    const told = async (main: string, inner: string) => (await five(main, `${to}${sequence("inner", inner)}`)).told("changed");
    expect(await told("exec: $inner\nexec: $far", "exec: $to\n{ matches: qtype 12, exec: $near }")).toContain(ended);
    expect(await told("exec: jump inner\nexec: $far", "exec: $to\nexec: return")).toContain(ended);
    expect(await told("exec: $inner\n{ matches: has_resp, exec: accept }\nexec: $far", "exec: $to\nexec: $near")).not.toContain(
      ended,
    );
    expect(await told("exec: $to\nexec: $inner\nexec: $far", "{ matches: qtype 12, exec: $near }")).not.toContain(ended);
  });

  test("hosts and aliases under a condition hold for every question, which is told; those of some clients are refused", async () => {
    const own = '  - { tag: own, type: hosts, args: { entries: ["nas.example 192.0.2.9"] } }\n';
    const to = '  - { tag: own, type: redirect, args: { rules: ["old.example new.example"] } }\n';
    for (const [plugins, what] of [
      [own, "hosts"],
      [to, "aliases"],
    ] as const) {
      for (const condition of ["qname $china", "qtype 1"]) {
        const outcome = await five(`{ matches: ${condition}, exec: $own }\nexec: $far`, plugins);
        expect(outcome.told("changed")).toContain(`the ${what} hold for every question, not only under their condition`);
      }
      const plain = await five("{ matches: qname $ads, exec: reject }\nexec: $own\nexec: $far", plugins);
      expect(plain.told("changed")).toContain(`the ${what} come before all rules`);
      expect(plain.told("changed")).not.toContain("not only under their condition");
      const closed = await five("{ matches: client_ip 10.0.0.7, exec: $own }\nexec: $far", plugins);
      expect(closed.told("blank")).toContain(`${what} for some clients alone`);
      expect(closed.text).not.toContain("hosts:");
    }
  });

  test("where the far servers were asked after the near ones alone, the report says that both are asked at once and which counts when the near are slow", async () => {
    const after = "`far` is asked together with `near`, not after it, and answers when that fails or is slow";
    const judged = "exec: $near\n{ matches: resp_ip $home, exec: accept }\nexec: drop_resp\nexec: $far";
    expect((await five(judged)).told("changed")).toContain(after);
    const both = `${sequence("first", 'exec: $near\n{ matches: "!resp_ip $home", exec: drop_resp }')}${sequence("second", "exec: $far")}  - { tag: both, type: fallback, args: { primary: first, secondary: second, threshold: 300, always_standby: true } }\n`;
    expect((await five("exec: $both", both)).told("changed")).not.toContain("not after it");
  });

  test("records of types without addresses were those of the servers that judge nothing: the report says so where they follow the verdict", async () => {
    const judged = "exec: $near\n{ matches: resp_ip $home, exec: accept }\nexec: drop_resp\nexec: $far";
    expect((await five(judged)).told("changed")).toContain("HTTPS too, were always those of `far`");
    const first = "exec: $far\n{ matches: resp_ip $home, exec: $near }";
    expect((await five(first)).told("changed")).toContain("records of types without addresses were always those of `far`");
  });

  test("where hosts without the type were overwritten by a fallback, the report says that the hosts hold", async () => {
    const plugins =
      '  - { tag: own, type: hosts, args: { entries: ["nas.example 192.0.2.9"] } }\n  - { tag: both, type: fallback, args: { primary: near, secondary: far } }\n';
    const outcome = await five("exec: $own\n{ matches: has_wanted_ans, exec: accept }\nexec: $both", plugins);
    expect(outcome.told("changed")).toMatch(
      /`near` \(line \d+\) asks for these names too and its answer counted: here the hosts hold/,
    );
  });

  test("a condition that is not known refuses the whole at its own line, not at that of the fallback above it", async () => {
    const plugins = `${sequence("first", "exec: $near\n{ matches: resp_ip $home, exec: accept }\n{ matches: cname cdn.example, exec: drop_resp }")}${sequence("second", "exec: $far")}  - { tag: both, type: fallback, args: { primary: first, secondary: second } }\n`;
    const { error, where } = await five("exec: $both", plugins);
    const lines = readFileSync(join(where, "config.yaml"), "utf8").split("\n");
    expect(error?.message).toContain("the condition `cname cdn.example`");
    expect(lines[(error?.line ?? 0) - 1]).toContain("cname cdn.example");
  });

  test("OxiDNS: an answer of a plugin with `short_circuit` is final", async () => {
    const plugins =
      '  - { tag: own, type: forward, args: { short_circuit: true, upstreams: [{ addr: 9.9.9.9 }] } }\n  - { tag: hole, type: black_hole, args: { ips: [0.0.0.0, "::"], short_circuit: true } }\n';
    const outcome = await five(
      "{ matches: qname $gfw, exec: $hole }\n{ matches: qname $china, exec: $own }\nexec: $far",
      plugins,
    );
    await expectDecisions(outcome, { "x.search.example": "addresses", "x.shop.example": "own", "x.example": "far" });
    expect(outcome.told("changed", "leak")).not.toContain("overwritten by");
  });

  test("OxiDNS: codes by their names, and a condition that is refused says of what type its set is", async () => {
    const outcome = await five(
      "{ matches: qname $gfw, exec: reject NXDOMAIN }\nexec: $far\n{ matches: rcode SERVFAIL, exec: $near }",
    );
    await expectDecisions(outcome, { "x.search.example": "nxdomain", "x.example": "far-then-near" });
    const sites = "  - { tag: sites, type: geosets, args: { file: geosite.dat } }\n";
    const { error } = await five("{ matches: qname $sites, exec: $near }\nexec: $far", sites);
    expect(error?.message).toContain(
      "the condition `qname $sites`: `$sites`: nothing is read from a plugin of the type `geosets`. It stands for every name",
    );
  });

  test("OxiDNS: categories of .dat files are lists, and without categories the refusal says what to do", async () => {
    const sets = (selectors: string) =>
      `  - { tag: sites, type: geosite, args: { file: geosite.dat${selectors} } }\n  - { tag: places, type: geoip, args: { file: geoip.dat${selectors} } }\n  - { tag: all, type: domain_set, args: { exps: [x.example], sets: [sites] } }\n`;
    const files = {
      "geosite.dat": field(1, field(1, "CN") + field(2, `\x08\x02${field(2, "store.example")}`)),
      "geoip.dat": field(1, field(1, "CN") + field(2, `${field(1, "{{{\0")}\x10\x18`)),
    };
    const steps =
      '{ matches: qname $all, exec: $near }\n{ matches: has_resp, exec: accept }\nexec: $near\n{ matches: "!resp_ip $places", exec: $far }';
    const outcome = await five(steps, sets(", selectors: [cn]"), files);
    expect(outcome.told("leak", "blank")).toBe("");
    await expectDecisions(outcome, { "a.store.example": "near", "x.example": "near", "other.example": "near|far" });
    const { error, where } = await five(steps, sets(""), files);
    expect(error?.message).toContain("`sites` has no `selectors`, and is every category of its file together: name those");
    expect(readFileSync(join(where, "config.yaml"), "utf8").split("\n")[(error?.line ?? 0) - 1]).toContain("qname $all");
  });

  test("OxiDNS: rules of AdGuard Home are lists; lines that it reads otherwise are told at their lines", async () => {
    const set = (more: string) =>
      `  - { tag: blocked, type: adguard_rule, args: { files: [blocked.txt]${more} } }\n  - { tag: both, type: any_match, args: ["qname $gfw", "$asked"] }\n  - { tag: asked, type: question, args: [$blocked] }\n`;
    const files = {
      "blocked.txt":
        "! title\n||b.example^\n@@||ok.b.example^\nexact.example\n||typed.example^$dnstype=AAAA\n0.0.0.0 hosts.example\n||new.example^$dnsrewrite=NXDOMAIN\n||open.example\n",
    };
    const outcome = await five(
      "{ matches: qname $blocked, exec: reject }\nexec: $far",
      set(', rules: ["||own.example^"]'),
      files,
    );
    await expectDecisions(outcome, {
      "a.b.example": "refused",
      "a.ok.b.example": "far",
      "exact.example": "refused",
      "a.exact.example": "far",
      "own.example": "refused",
    });
    expect(outcome.told("blank")).toMatch(/^5: `.*dnstype=AAAA`.* passes over it.*\n6: `0\.0\.0\.0 hosts.*\n7: `.*dnsrewrite/);
    expect(outcome.told("changed")).toMatch(/^8: `\|\|open\.example` of the list `blocked` has no `\^` at its end/m);
    const asked = await five("{ matches: $both, exec: reject }\nexec: $far", set(""), files);
    await expectDecisions(asked, {
      "a.b.example": "refused",
      "search.example": "refused",
      "typed.example": "far",
      "typed.example AAAA": "refused",
    });
    const inline = '  - { tag: own, type: adguard_rule, args: { rules: ["||own.example^", "@@||ok.own.example^"] } }\n';
    const written = await five("{ matches: question $own, exec: reject }\nexec: $far", inline);
    await expectDecisions(written, { "a.own.example": "refused", "a.ok.own.example": "far", "x.example": "far" });
    expect(asked.told("blank")).not.toContain("dnstype");
    const { error } = await five(
      "{ matches: qname $blocked, exec: reject }\nexec: $far",
      set(', rules: ["@@||own.example^"]'),
      files,
    );
    expect(error?.message).toMatch(/`@@\|\|own\.example\^` in line \d+: of the rules of `blocked` .* put the others into a file/);
  });

  test("where every rule is closed, the refusal names the first cause and its line", async () => {
    const { error } = await five(
      "{ matches: [qname $china, random 0.5], exec: $near }\n{ matches: qname $china, exec: accept }\nexec: reject",
    );
    expect(error).toMatchObject({ message: expect.stringContaining("asked here: the condition `random 0.5`") });
    expect(error?.line).toBeGreaterThan(1);
  });

  test("far first, and near for names at home, whose other answers give way to far again, is a comparison that begins far", async () => {
    const plugins = `${sequence("first", "exec: $far\n{ matches: resp_ip $home, exec: drop_resp }")}${sequence("second", 'exec: $near\n{ matches: "!resp_ip $home", exec: $far }')}  - { tag: both, type: fallback, args: { primary: first, secondary: second } }\n`;
    const outcome = await five("exec: $both", plugins);
    expect(outcome.text).toMatch(/compare: \{ near: near, far: far, keepNearIf: list:home, first: far \}/);
    expect(outcome.told("changed")).toContain("what comes after an empty or failed answer of `far`: nobody else is asked");
  });

  test("what comes after SERVFAIL is not what comes where nobody answers: the second part of a fallback is asked then", async () => {
    const third = "  - { tag: third, type: forward, args: { upstreams: [{ addr: 9.9.9.9 }] } }\n";
    const plugins = `${third}${sequence("first", "exec: $far\n{ matches: rcode 2, exec: $near }")}  - { tag: both, type: fallback, args: { primary: first, secondary: third } }\n`;
    const outcome = await five("exec: $both", plugins);
    expect(outcome.config?.upstreams.groups.find(({ name }) => name.startsWith("far-then"))?.fallback).toBe("third");
    expect(outcome.told("changed")).toContain(
      "after SERVFAIL of `far` `near` was asked; here `third` is, as where nobody answers",
    );
    expect(outcome.told("risk", "leak")).not.toContain("`near` is asked");
  });

  test("a list that alone keeps the near answer is compared by, whatever it is called; of another that is not known as the country's the refusal says so at its line", async () => {
    const set = "  - { tag: local, type: ip_set, args: { files: [local.txt] } }\n";
    const files = { "local.txt": "1.2.3.0/24\n" };
    const kept = await five('exec: $near\n{ matches: "!resp_ip $local", exec: $far }', set, files);
    expect(kept.text).toMatch(/compare: \{ near: near, far: far, keepNearIf: list:local \}/);
    // Turned round, the near servers would be shown names that they did not see before.
    for (const steps of [
      'exec: $far\n{ matches: "!resp_ip $local", exec: $near }',
      'exec: $far\n{ matches: resp_ip $local, exec: $near }\n{ matches: "!resp_ip $local", exec: forward 1.1.1.1 }',
    ]) {
      const { error, where } = await five(steps, set, files);
      const lines = readFileSync(join(where, "config.yaml"), "utf8").split("\n");
      expect(error?.message).toMatch(
        /who is asked after `far` hangs on whether the answer is in the list `local`: .*local\.txt is not called `cn` or `china`, and does not hold most of 223\.5\.5\.5/,
      );
      expect(lines[(error?.line ?? 0) - 1]).toContain("tag: local");
    }
    const { error } = await five('exec: $far\n{ matches: "!resp_ip 1.2.3.4", exec: $near }');
    expect(error?.message).toContain("is in 1.2.3.4: that is followed for the addresses of the home country alone");
  });

  test("a set that holds nothing is told, and `(?i)` changes nothing in a pattern", async () => {
    const outcome = await five(
      "{ matches: qname $none, exec: $near }\n{ matches: qname regexp:(?i)^ad, exec: reject }\nexec: $far",
      "  - { tag: none, type: domain_set, args: {} }\n",
    );
    expect(outcome.told("risk")).toContain("`none` (domain_set) holds nothing");
    await expectDecisions(outcome, { "ads.x.example": "refused", "x.example": "far" });
  });

  test("a dropped answer is followed by a comparison of groups that stand in for each other", async () => {
    const plugins =
      "  - { tag: abroad, type: fallback, args: { primary: far, secondary: third } }\n  - { tag: third, type: forward, args: { upstreams: [{ addr: 9.9.9.9 }] } }\n";
    const outcome = await five(
      'exec: $near\n{ matches: "!resp_ip $home", exec: drop_resp }\n{ matches: has_resp, exec: accept }\nexec: $abroad\n{ matches: resp_ip $home, exec: drop_resp }\n{ matches: "!has_resp", exec: $near }',
      plugins,
    );
    expect(outcome.text).toMatch(/compare: \{ near: near, far: far-then-third, keepNearIf: list:home \}/);
    expect(outcome.told("changed")).toContain("of these two `far` alone is asked");
  });

  test("a limit on how fast clients ask is told, and PTR that are answered from memory", async () => {
    const outcome = await five(
      '{ matches: "!$limit", exec: reject 5 }\nexec: $memory\nexec: $far',
      "  - { tag: limit, type: rate_limiter, args: { qps: 20 } }\n  - { tag: memory, type: reverse_lookup, args: { handle_ptr: true } }\n",
    );
    await expectDecisions(outcome, { "x.example": "far" });
    expect(outcome.told("changed")).toContain("`limit`: how fast a client may ask is set by `access.rateLimit`");
    expect(outcome.told("changed")).toContain("`memory` answered PTR for addresses that clients had been given");
    expect(outcome.told("left")).not.toContain("`memory`");
  });

  test("an answer without addresses is in no list; a group that stands in stays where addresses are dropped", async () => {
    const both = (second: string) => `  - { tag: both, type: fallback, args: { primary: far, secondary: ${second} } }\n`;
    const third = "  - { tag: third, type: forward, args: { upstreams: [{ addr: 9.9.9.9 }] } }\n";
    const steps = (matches: string) => `exec: $both\n{ matches: ${matches}, exec: reject 0 }`;
    const text = await five(steps("[qtype 16 15, resp_ip $banned]"), `${both("third")}${third}`);
    expect(text.text).not.toContain("drop:");
    await expectDecisions(text, { "x.example TXT": "far-then-third", "x.example": "far-then-third" });
    const banned = { "local.txt": "203.0.113.0/24\n" };
    const set = "  - { tag: local, type: ip_set, args: { files: [local.txt] } }\n";
    const dropped = await five(steps("resp_ip $local"), `${both("third")}${third}${set}`, banned);
    expect(dropped.config?.upstreams.groups.find(({ name }) => name === "far-then-third")?.fallback).toBe("third");
    expect(dropped.told("changed")).toContain("where no address of an answer of `far` is left, `third` is asked here");
    expect((await five(steps("resp_ip $local"), `${both("near")}${set}`, banned)).told("leak")).toContain(
      "is left, `near` is asked here",
    );
  });

  test("NXDOMAIN that another group was asked after is believed, which is told", async () => {
    const outcome = await five("exec: $far\n{ matches: rcode 3, exec: forward 9.9.9.9 }\n{ matches: rcode 2 5, exec: $near }");
    await expectDecisions(outcome, { "x.example": "far-then-near" });
    expect(outcome.told("changed")).toContain(
      "NXDOMAIN of `far` counts here as an answer without addresses: what became of it was an answer of `9.9.9.9` or `near`",
    );
    const { error } = await five("exec: $far\n{ matches: rcode 1, exec: $near }");
    expect(error?.message).toContain("a condition on rcode 1");
  });

  test("a condition on all addresses asks whether there is one", async () => {
    const all = "0.0.0.0/0 ::/0";
    const outcome = await five(
      `exec: $far\n{ matches: "!resp_ip ${all}", exec: accept }\n{ matches: resp_ip $home, exec: $near }`,
    );
    expect(outcome.text).toMatch(/compare: \{ near: near, far: far, keepNearIf: list:home, first: far \}/);
    expect(outcome.text).not.toContain("drop:");
    const refused = await five(
      `exec: $far\n{ matches: "!resp_ip ${all}", exec: accept }\n{ matches: resp_ip $home, exec: $near }\n{ matches: "!resp_ip $home", exec: forward 9.9.9.9 }`,
    );
    expect(refused.error?.message).toContain("`far` is asked only to find out whom to ask then");
    const four = await five("exec: $far\n{ matches: resp_ip 0.0.0.0/0, exec: $near }");
    expect(four.error?.message).toContain("a condition on all addresses of one family");
  });

  test("a server that is asked again when its answer was dropped is no comparison", async () => {
    const outcome = await five('exec: $far\n{ matches: resp_ip $home, exec: drop_resp }\n{ matches: "!has_resp", exec: $far }');
    await expectDecisions(outcome, { "unknown.example": "far" });
  });

  test("an `ecs_handler` without a setting changes no ECS (34)", async () => {
    const outcome = await five(
      "exec: $none\nexec: $near",
      "  - { tag: none, type: ecs_handler, args: { forward: false, send: false } }\n",
    );
    expect(outcome.config?.upstreams.groups[0]?.ecs).toBeNull();
    const both = await five(
      "exec: $both\nexec: $near",
      "  - { tag: both, type: ecs_handler, args: { forward: true, send: true } }\n",
    );
    expect(both.told("changed")).toContain("`both` added the client's own network to questions without a client subnet");
  });
});

test("the file carries expectations from its own lists, and each step with its line and an example", async () => {
  const outcome = await five(
    "{ matches: qname $ads, exec: reject 3 }\n{ matches: qname $china, exec: $near }\n{ matches: has_resp, exec: accept }\nexec: $far",
  );
  expect(outcome.config?.expect.map(({ name, upstream, answer, rule }) => [name, upstream ?? answer ?? rule])).toEqual([
    ["ads.example", "ads"],
    ["shop.example", "near"],
    ["no-list-knows-this-name.com", "far"],
  ]);
  expect(outcome.told("carried")).toMatch(/^\d+: `china` \(shop.example\) goes to `near`$/m);
});

test("the same input gives the same output", async () => {
  const steps = "{ matches: qname $china, exec: $near }\n{ matches: has_resp, exec: accept }\nexec: $far";
  const strip = (text: string) => text.replace(/^#.*\n/, "");
  expect(strip((await five(steps)).text)).toBe(strip((await five(steps)).text));
});

test("a name that is denied without those below it is empty here, which the report says with an example", async () => {
  const denying = (list: string) =>
    runImport("config.yaml", {
      "config.yaml": `plugins:
  - { tag: ads, type: domain_set, args: { files: [ads.txt] } }
  - { tag: near, type: forward, args: { upstreams: [{ addr: 223.5.5.5 }] } }
${sequence("main", "{ matches: qname $ads, exec: reject 3 }\nexec: $near")}  - { type: udp_server, args: { entry: main, listen: "127.0.0.1:5300" } }
`,
      "ads.txt": list,
    });
  const told = "a name without those below it, such as `one.example`, is empty, not NXDOMAIN";
  const exact = await denying("ads.example\nfull:one.example\n");
  expect(exact.told("changed")).toContain(told);
  await expectDecisions(exact, { "one.example": "nodata", "x.ads.example": "nxdomain" });
  expect((await denying("ads.example\n")).told("changed")).not.toContain("NXDOMAIN");
});
