import { X509Certificate } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { authorityOf, fetchChain, fingerprintOf, keyIdsOf } from "../../src/routeros/chain.ts";
import { renderRemovalScript, renderSetupScript, type SetupOptions } from "../../src/routeros/script.ts";
import { RouterDohClient } from "../support/routeros/doh-client.ts";
import { Router } from "../support/routeros/router.ts";
import { importScript } from "../support/routeros/script.ts";
import { siteWith } from "../support/site.ts";
import { addresses } from "../upstreams/messages.ts";
import { testCertificate } from "../upstreams/scripted-server.ts";

/** A running Fenliu, its script, and a router that is as delivered but for plain servers. */
async function house() {
  const yaml = "hosts: { records: { doh.example.com: 127.0.0.1 } }";
  const site = await siteWith({ yaml, upstreams: { main: (asked) => addresses(asked, "192.0.2.7") }, admin: true });
  const url = new URL(`https://localhost:${site.app.bound.https[0]?.port}/dns-query`);
  const chain = await fetchChain(url, "127.0.0.1");
  const certificate = authorityOf(chain);
  const authority = certificate && { pem: certificate.toString(), fingerprint: fingerprintOf(certificate) };
  const setup: SetupOptions = { url, addresses: ["127.0.0.1"], authority, failover: [], fallback: ["223.5.5.5"], without: [] };
  const router = new Router();
  router.plant("ip/dns", { servers: "192.0.2.53" });
  const client = new RouterDohClient(router);
  onTestFinished(() => client.close());
  return { site, setup, router, client, chain };
}

test("a router that imports the script resolves through Fenliu, over TLS that it verifies, and no longer after the removal", async () => {
  const { site, setup, router, client } = await house();
  await importScript(router, renderSetupScript(setup));
  expect((await client.ask("www.example.com", "A")).answers).toEqual(["192.0.2.7"]);
  expect(router.record("ip/dns")["verify-doh-cert"]).toBe("true");
  const before = site.asked().length;
  await importScript(router, renderRemovalScript(setup));
  expect(router.record("ip/dns")["servers"]).toBe("192.0.2.53");
  expect(site.asked().length).toBe(before);
});

test("a router that does not know the authority refuses, and keeps its servers", async () => {
  const { setup, router } = await house();
  await expect(importScript(router, renderSetupScript({ ...setup, authority: null }))).rejects.toThrow("as they were");
  expect(router.record("ip/dns")).toMatchObject({ "use-doh-server": "", servers: "192.0.2.53" });
});

test("the chain of a service ends with its authority, whose key ids are read", async () => {
  const { chain } = await house();
  const keyId = "2a3b458ef3f8a47fe70e0cdd5a1941a56b4c6e78";
  expect(chain.map((certificate) => keyIdsOf(certificate))).toEqual([{ subject: keyId, authority: keyId }]);
  expect(chain.map(String)).toEqual([new X509Certificate(testCertificate).toString()]);
});

test("the API renders the script for the parts and servers that are asked for, and names what is wrong", async () => {
  const { site } = await house();
  const ask = async (query: string) => {
    const response = await site.api(`routeros.rsc?url=https://doh.example.com${query}`);
    return { status: response.status, text: await response.text() };
  };
  const whole = (await ask("")).text;
  expect(whole).toContain("action=redirect");
  expect((await ask("")).text).toBe(whole);
  expect((await ask("&without=redirect&without=ntp")).text).not.toContain("action=redirect");
  expect((await ask("&remove=true")).text).toContain("/system script run fenliu-before");
  expect(await ask("&failover=dns.example")).toMatchObject({ status: 400, text: expect.stringContaining("is no IP address") });
  expect((await ask("&without=everything")).status).toBe(400);
});
