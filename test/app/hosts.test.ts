import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { HostRecordInput } from "../../src/admin/control.ts";
import { hostPattern, hostRecord, withHost, withoutHost } from "../../src/control/hosts.ts";
import { directory } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const YAML = "hosts: { records: { nas.lan: 10.0.0.5, tv.lan: 10.0.0.6 } }";

async function house(folder: string, yaml = YAML): Promise<TestSite> {
  return await siteWith({ yaml, folder, upstreams: { main: honest("page.example A 192.0.2.7") } });
}

function put(site: TestSite, name: string, address: string): Promise<void> {
  const record = hostRecord(hostPattern(name), { address });
  return site.app.changeHosts(withHost(record));
}

function take(site: TestSite, name: string, hide = false): Promise<void> {
  return site.app.changeHosts(withoutHost(name, { hide }));
}

describe("names set and removed through the API", () => {
  test("a name that is set is answered at once, with its PTR, also after a restart", async () => {
    const folder = directory();
    const site = await house(folder);
    await put(site, "Printer.lan", "10.0.0.9");
    expect(await site.ask("printer.lan")).toMatchObject({ answers: ["10.0.0.9"] });
    expect(await site.ask("9.0.0.10.in-addr.arpa", "PTR")).toMatchObject({ answers: ["printer.lan."] });
    await site.close();
    expect(await (await house(folder)).ask("printer.lan")).toMatchObject({ answers: ["10.0.0.9"] });
  });

  test("a name that is set replaces the name of the configuration, and other names of the configuration stay", async () => {
    const site = await house(directory());
    await put(site, "nas.lan", "10.0.0.55");
    expect([(await site.ask("nas.lan")).answers, (await site.ask("tv.lan")).answers]).toEqual([["10.0.0.55"], ["10.0.0.6"]]);
  });

  test("DELETE of a name that was set gives back the name of the configuration; a name of the configuration alone is refused", async () => {
    const site = await house(directory());
    await put(site, "nas.lan", "10.0.0.55");
    await take(site, "nas.lan");
    expect(await site.ask("nas.lan")).toMatchObject({ answers: ["10.0.0.5"] });
    await expect(take(site, "nas.lan")).rejects.toThrow("`hide=true` hides the name there");
  });

  test("a hidden name is listed as hidden, and DELETE shows it again", async () => {
    const site = await house(directory());
    const { control } = site.app.administration;
    await put(site, "nas.lan", "10.0.0.55");
    expect(await control.deleteHost("nas.lan", true)).toBe(true);
    expect(await site.ask("nas.lan")).toMatchObject({ rcode: "NXDOMAIN" });
    const hidden = { name: "nas.lan", addresses: ["10.0.0.5"], source: "hosts.records", own: false, hidden: true };
    expect(control.hosts()).toMatchObject([hidden, { name: "tv.lan", hidden: false }]);
    expect(control.host("nas.lan")).toMatchObject(hidden);
    expect(await control.deleteHost("nas.lan", false)).toBe(true);
    expect(await site.ask("nas.lan")).toMatchObject({ answers: ["10.0.0.5"] });
    expect(await control.deleteHost("no.lan", true)).toBe(false);
  });

  test("a hidden name of the configuration stays hidden after a reload, until it is set again", async () => {
    const site = await house(directory());
    await take(site, "nas.lan", true);
    await site.reload(YAML);
    expect(await site.ask("nas.lan")).toMatchObject({ rcode: "NXDOMAIN", answers: [] });
    await put(site, "nas.lan", "10.0.0.5");
    expect(await site.ask("nas.lan")).toMatchObject({ answers: ["10.0.0.5"] });
  });

  test("a name set through the API leaves no trace when it is removed", async () => {
    const folder = directory();
    const site = await house(folder);
    await put(site, "x.example", "10.0.0.9");
    await take(site, "x.example");
    expect(readFileSync(join(folder, "data", "hosts.yaml"), "utf8")).not.toContain("x.example");
  });

  test("a change that breaks an expectation is refused, and nothing is written", async () => {
    const folder = directory();
    const site = await house(folder, `${YAML}\nexpect: [{ name: page.example, upstream: main }]`);
    await expect(put(site, "page.example", "10.0.0.9")).rejects.toThrow("page.example");
    expect(existsSync(join(folder, "data", "hosts.yaml"))).toBe(false);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  });

  test("edits that a person makes in the file are kept, and a file with a mistake is not overwritten", async () => {
    const folder = directory();
    const site = await house(folder);
    await put(site, "one.lan", "10.0.0.1");
    const path = join(folder, "data", "hosts.yaml");
    writeFileSync(path, "records: { two.lan: 10.0.0.2 }\n");
    await put(site, "three.lan", "10.0.0.3");
    expect(await site.ask("two.lan")).toMatchObject({ answers: ["10.0.0.2"] });
    writeFileSync(path, "records: { two.lan: 10.0.0 }\n");
    await expect(put(site, "four.lan", "10.0.0.4")).rejects.toThrow("hosts.yaml:1");
    expect(readFileSync(path, "utf8")).toContain("10.0.0 }");
  });

  test("a name stays hidden if a reload adds it to the configuration after its removal", async () => {
    const site = await house(directory());
    await put(site, "new.lan", "10.0.0.9");
    await Promise.all([
      site.reload("hosts: { records: { new.lan: 10.0.0.7 } }"),
      site.app.administration.control.deleteHost("new.lan", true),
    ]);
    expect(await site.ask("new.lan")).toMatchObject({ rcode: "NXDOMAIN" });
  });

  test("every record is read from the file as it was set", async () => {
    const folder = directory();
    const site = await house(folder, "");
    const { control } = site.app.administration;
    const records: readonly (readonly [string, HostRecordInput])[] = [
      ["123", { address: "10.0.0.1" }],
      ["true", { address: ["10.0.0.1", "fd00::1"], others: "forward" }],
      ["__proto__", { address: "10.0.0.1", https: { alpn: ["h2", "http/1.1"], port: 8443 } }],
      ["*.München.lan", { address: "10.0.0.1", https: { alpn: ["h3"] } }],
      ["a.lan", { cname: "b.lan" }],
      ["six.lan", { address: "10.0.0.1", aaaa: "forward" }],
      ["none.lan", { a: "forward" }],
      ["*.out.lan", { forward: true }],
    ];
    for (const [name, record] of records) await control.putHost(name, record);
    await take(site, "a.lan");
    await control.putHost("a.lan", { cname: "c.lan" });
    const before = control.hosts();
    expect(before).toHaveLength(8);
    await site.reload("");
    expect(control.hosts()).toEqual(before);
    for (const { name } of before) await control.deleteHost(name, false);
    await site.reload("");
    expect(control.hosts()).toEqual([]);
  });

  test("many changes at once all take effect", async () => {
    const site = await house(directory());
    await Promise.all(Array.from({ length: 20 }, (_, index) => put(site, `h${index}.lan`, `10.0.1.${index}`)));
    expect((await site.ask("h0.lan")).answers).toEqual(["10.0.1.0"]);
    expect((await site.ask("h19.lan")).answers).toEqual(["10.0.1.19"]);
  });
});

describe("an invalid host record is refused with a reason", () => {
  test.each<[string, HostRecordInput, string]>([
    ["nas.lan", {}, "neither an address nor a `cname`"],
    ["nas.lan", { address: "10.0.0" }, "10.0.0"],
    ["nas.lan", { address: "10.0.0.1", cname: "x.lan" }, "not both"],
    ["nas.lan", { address: [] }, "needs an address"],
    ["nas.lan", { aaaa: "nodata" }, "neither an address nor a `cname`"],
    ["nas.lan", { address: "fd00::1", aaaa: "forward" }, "has an IPv6 address"],
    ["nas.lan", { cname: "x.lan", a: "forward" }, "an alias answers every type"],
    ["nas.lan", { address: "10.0.0.1", forward: true }, "nothing stands beside it"],
    ["nas.lan", { cname: "x.lan", https: { port: 70_000 } }, "70000"],
  ])("%s %j", (name, input, words) => {
    expect(() => hostRecord(hostPattern(name), input)).toThrow(words);
  });

  test("a name that is not a domain name", () => {
    expect(() => hostPattern("a..b")).toThrow("no name of a host");
  });
});
