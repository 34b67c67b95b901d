import { expect, test } from "vitest";
import { file } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const zone = [
  "page.example A 203.0.113.1",
  "page.example A 203.0.113.2",
  "page.example A 198.51.100.1",
  "page.example AAAA 2001:db8:1::1",
  "page.example HTTPS 1 . alpn=h2 ipv4hint=203.0.113.1,203.0.113.2 ipv6hint=2001:db8:1::1",
  "alias.example CNAME page.example",
  "other.example A 198.51.100.1",
];

async function site(addresses: string) {
  const list = file("cdn.txt", ["203.0.113.0/24", "2001:db8:1::/48"]);
  const yaml = `lists: { cdn: { addresses: "${list}" } }
rules: [{ name: cdn, clients: 127.0.0.1, replace: { "list:cdn": ${addresses} } }]`;
  return await siteWith({ upstreams: { main: honest(...zone) }, yaml });
}

test("addresses of the list give way to the chosen ones, once each, also behind an alias and from the cache", async () => {
  const here = await site("[192.0.2.7]");
  for (const name of ["page.example", "alias.example", "page.example"])
    expect((await here.ask(name)).answers).toEqual(["192.0.2.7", "198.51.100.1"]);
  expect((await here.ask("other.example")).answers).toEqual(["198.51.100.1"]);
});

test("a family of which none is chosen stays, and so do other clients", async () => {
  const here = await site("[192.0.2.7]");
  expect((await here.ask("page.example", "AAAA")).answers).toEqual(["2001:db8:1::1"]);
  const both = await site('[192.0.2.7, 192.0.2.8, "2001:db8::8"]');
  expect((await both.ask("page.example")).answers).toEqual(["192.0.2.7", "192.0.2.8", "198.51.100.1"]);
  expect((await both.ask("page.example", "AAAA")).answers).toEqual(["2001:db8::8"]);
});

test("hints of HTTPS records give way too, and the rest of the record stays", async () => {
  const here = await site('[192.0.2.7, "2001:db8::8"]');
  expect((await here.ask("page.example", "HTTPS")).records).toEqual([
    expect.stringMatching(/HTTPS 1 \. alpn=h2 ipv4hint=192\.0\.2\.7 ipv6hint=2001:db8::8$/),
  ]);
});
