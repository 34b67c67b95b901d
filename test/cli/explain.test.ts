import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { explainQuery } from "../../src/control/explain.ts";
import { hypotheticalQuery } from "../../src/control/explain-live.ts";
import { directory } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";
import { testTerminal } from "./terminal.ts";

const YAML = `upstreams: { domestic: { servers: [192.0.2.1] }, overseas: { servers: [192.0.2.2] } }
lists: { cn: { domains: [cn.txt] } }
hosts: { records: { www.lan: { cname: page.example } } }
rules:
  - { name: quiet, clients: [tv, 10.0.7.0/24], ipv6: nodata }
  - { name: split, longest: { "list:cn": domestic } }
  - { name: others, domains: [.], upstream: overseas }
`;

/** Runs the command in a folder with a configuration and a list. */
async function explained(words: readonly string[], { admin = "null", colors = false } = {}) {
  const where = directory();
  writeFileSync(join(where, "fenliu.yaml"), `${YAML}listen: { admin: ${admin} }\n`);
  writeFileSync(join(where, "cn.txt"), "# domestic\npage.example\n");
  const terminal = { ...testTerminal(where), colors };
  const code = await run(["explain", ...words], terminal);
  return { code, ...terminal.written };
}

/** Listens in place of a running server's API. @returns the value for `listen.admin`, and the requests. */
async function apiWith(reply: (url: URL, request: IncomingMessage) => { readonly status?: number; readonly body: unknown }) {
  const server = createServer((request, response) => {
    const { status = 200, body } = reply(new URL(request.url ?? "", "http://x"), request);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return `"127.0.0.1:${typeof address === "object" ? address?.port : 0}"`;
}

describe("explain without a running server", () => {
  test("shows what the configuration says, and that the server was not asked", async () => {
    const { code, out } = await explained(["www.page.example"]);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^www\.page\.example A {2}asked by 127\.0\.0\.1\nRule split sends it to domestic\. It matches page\.example, line 2 of list cn/,
    );
    expect(out).toContain(
      "  - rule quiet is not for this client\n  > rule split decides because of page.example, line 2 of list cn",
    );
    expect(out).toMatch(/ {2}route {5}domestic\n {2}settings {2}https: pass, ipv6: pass, .*ttl: \{ min: 0s, max: 1d \}/);
    expect(out).toContain("This is what the configuration says; cache and verdicts are not known: `listen.admin` is null");
    expect(out).not.toContain("rule others");
  });

  test("explains for a type and a client, by address or id", async () => {
    for (const client of ["tv", "10.0.7.9"]) {
      const { out } = await explained(["www.page.example", "AAAA", "--client", client]);
      expect(out).toContain("AAAA is answered here with NODATA (ipv6:nodata)");
      expect(out).toContain("  + rule quiet matches");
      expect(out).toMatch(/ {2}answer {4}nodata\n {2}action {4}ipv6:nodata\n/);
    }
  });

  test("the deciding step is marked: a special zone that no rule opens, not the last rule", async () => {
    const { out } = await explained(["printer.local"]);
    expect(out).toContain("answered here with NXDOMAIN");
    expect(out).toContain("\n  > the name is in the special zone local");
    expect(out).toContain("\n  - rule others matches because of ., but has no pattern within the special zone");
  });

  test("an alias is followed, with a deeper indent", async () => {
    const { out } = await explained(["www.lan"]);
    expect(out).toContain("  > the hosts table has www.lan, line 1 of hosts.records\n");
    expect(out).toContain("\n  page.example A  asked by 127.0.0.1\n  Rule split sends it to domestic");
  });

  test("--json is the explanation itself", async () => {
    const { out } = await explained(["www.page.example", "--json"]);
    expect(JSON.parse(out)).toMatchObject({
      question: { type: "A" },
      decision: { rule: "split", route: "domestic" },
      cache: [],
      outcome: null,
    });
  });

  test("colours are for terminals alone", async () => {
    expect((await explained(["www.page.example"])).out).not.toContain("\x1b");
    expect((await explained(["www.page.example"], { colors: true })).out).toContain("\x1b[32m  > rule split decides");
  });

  test.each([
    { words: [], says: "explain takes NAME [TYPE]" },
    { words: ["a.example", "A", "more"], says: "explain takes NAME [TYPE]" },
    { words: ["a..example"], says: "`a..example` is no domain name" },
    { words: ["a.example", "NOTYPE"], says: "`NOTYPE` is no record type" },
    { words: ["a.example", "--client", "Me!"], says: "`Me!` is no client id" },
  ])("explain $words is a usage error", async ({ words, says }) => {
    const { code, err } = await explained(words);
    expect(code).toBe(2);
    expect(err).toContain(says);
  });

  test.each([["--resolve"], ["--under", "0123456789ab"]])("%s needs the server", async (...words) => {
    const { code, out, err } = await explained(["a.example", ...words]);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain(`${words[0]} needs the running server`);
  });
});

describe("explain with a running server", () => {
  test("asks the server, and shows its cache and the resolved question", async () => {
    const site = await siteWith({ upstreams: { main: honest("www.page.example 100 A 192.0.2.7") } });
    await site.ask("www.page.example");
    const asked: string[] = [];
    const admin = await apiWith((url) => {
      asked.push(`${url.pathname}${url.search}`);
      const outcome = {
        rcode: "NOERROR",
        source: "upstream",
        action: "none",
        answers: ["100 A 192.0.2.7"],
        negativeTtl: null,
        ede: [],
        edits: ["TTL 200 to 100"],
        attempts: [
          {
            group: "main",
            server: "udp://192.0.2.1",
            transport: "udp" as const,
            startMs: 0,
            ms: 7.25,
            rcode: "NOERROR",
            failure: null,
          },
        ],
        durationUs: 7300,
      };
      const { searchParams } = url;
      const name = searchParams.get("name") ?? "";
      const query = hypotheticalQuery({ name, type: "A", client: null, clientId: searchParams.get("clientId") });
      const held = explainQuery(site.app.state.policy, query, site.app.state);
      return { body: { ...held, outcome } };
    });
    const { code, out } = await explained(["www.page.example", "--resolve", "--client", "tv"], { admin });
    expect(code).toBe(0);
    expect(asked).toEqual(["/api/v1/explain?name=www.page.example&type=A&clientId=tv&resolve=true"]);
    expect(out).toContain("asked by 127.0.0.1, client id tv");
    expect(out).toMatch(/ {2}cache {5}A from main, NOERROR, fresh for 100 s more, 100 A 192\.0\.2\.7\n/);
    expect(out).toMatch(
      / {2}asked {5}NOERROR \(upstream\) after 7\.30 ms\n {12}100 A 192\.0\.2\.7\n {12}TTL 200 to 100\n {12}udp:\/\/192\.0\.2\.1 of main over UDP: NOERROR after 7\.25 ms\n/,
    );
  });

  test("a refusal of the server is reported, not replaced by an offline explanation", async () => {
    const admin = await apiWith(() => ({
      status: 404,
      body: { title: "Not Found", detail: "version 0123456789ab is not kept, or not any more" },
    }));
    const { code, out, err } = await explained(["a.example", "--under", "0123456789ab"], { admin });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain("version 0123456789ab is not kept");
  });

  test("without a server the configuration alone is explained", async () => {
    const { code, out } = await explained(["a.example"], { admin: '"127.0.0.1:1"' });
    expect(code).toBe(0);
    expect(out).toContain("no Fenliu answers at http://127.0.0.1:1/api/v1/");
    expect(out).toContain("Rule others sends it to overseas");
  });
});

test("warnings about the configuration are left to other commands", async () => {
  const where = directory();
  writeFileSync(join(where, "fenliu.yaml"), `${YAML.replace(", domains: [.]", ", domains: [example]")}listen: { admin: null }\n`);
  writeFileSync(join(where, "cn.txt"), "page.example\n");
  const said = async (...words: readonly string[]) => {
    const terminal = testTerminal(where);
    await run(words, terminal);
    return terminal.written.err;
  };
  expect(await said("lists")).toContain("queries that no rule matches go to the first group");
  expect(await said("explain", "page.example")).toBe("");
  expect(await said("log")).toBe("fenliu: `listen.admin` is null: this server has no API\n");
});

test("names and texts cannot control the terminal", async () => {
  const { out } = await explained(["evil\\027[2J.example"]);
  expect(out).not.toContain("\x1b");
});

describe("explain at another moment", () => {
  /** With a rule that holds at night. */
  async function atNight(...words: readonly string[]) {
    const where = directory();
    const rules = `rules: [{ name: night, when: { from: "21:00", to: "07:00", zone: Asia/Shanghai }, answer: nodata }, { name: rest, upstream: a }]`;
    writeFileSync(join(where, "fenliu.yaml"), `upstreams: { a: { servers: [192.0.2.1] } }\n${rules}\nlisten: { admin: null }\n`);
    const terminal = testTerminal(where);
    const code = await run(["explain", "video.example", ...words], terminal);
    return { code, ...terminal.written };
  }

  test("tells the hours of a rule and the time where the rule is passed over, and that the cache of then is not known", async () => {
    const { code, out } = await atNight("--at", "2026-11-29T14:10+08:00");
    expect(code).toBe(0);
    expect(out).toContain("  - rule night is not within 21:00-07:00 Asia/Shanghai; it is 14:10\n  > rule rest decides");
    expect(out).toContain("This is for 2026-11-29T06:10:00.000Z");
  });

  test("decides by the rules of that moment, in the zone of this machine where none is written", async () => {
    expect((await atNight("--at", "2026-11-29T22:10+08:00")).out).toContain("  > rule night decides");
    const local = new Date(Date.parse("2026-11-29T22:10+08:00"));
    const pad = (value: number) => String(value).padStart(2, "0");
    const date = `${local.getFullYear()}-${pad(local.getMonth() + 1)}-${pad(local.getDate())}`;
    expect((await atNight("--at", `${date}T${pad(local.getHours())}:${pad(local.getMinutes())}`)).out).toContain(
      "  > rule night decides",
    );
  });

  test("refuses what is no time", async () => {
    expect(await atNight("--at", "soon")).toMatchObject({ code: 2, err: expect.stringContaining("`soon` is no time") });
  });

  test("asks the running server for that moment", async () => {
    const site = await siteWith({ upstreams: { a: honest() } });
    const asked: (string | null)[] = [];
    const hypothetical = hypotheticalQuery({ name: "page.example", type: "A", client: null, clientId: null });
    const admin = await apiWith(({ searchParams }) => {
      asked.push(searchParams.get("at"));
      return { body: explainQuery(site.app.state.policy, hypothetical, null) };
    });
    await explained(["page.example", "--at", "2026-11-29T21:30Z"], { admin });
    expect(asked).toEqual([String(Date.parse("2026-11-29T21:30Z"))]);
  });
});
