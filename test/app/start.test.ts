import { once } from "node:events";
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { App } from "../../src/app.ts";
import { systemClock } from "../../src/clock.ts";
import { parseConfig } from "../../src/config/load.ts";
import { ListenError } from "../../src/listen/listen-error.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { SiteError } from "../../src/site.ts";
import { fakeClock } from "../fake-clock.ts";
import { siteWith } from "../site.ts";
import { honest } from "../zone-script.ts";

const surroundings = {
  clock: systemClock,
  log: operationsLog("silent", () => {}, false),
  ca: null,
  resolvConf: "/nowhere",
};

function configOf(text: string) {
  const result = parseConfig(text, null);
  if (result.kind === "invalid") throw new Error("the configuration is broken");
  return result.config;
}

async function takenPort(): Promise<number> {
  const occupant = createServer().listen(0, "127.0.0.1");
  await once(occupant, "listening");
  onTestFinished(() => void occupant.close());
  const address = occupant.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}

test("a port that is taken keeps it from starting, and every such port is named", async () => {
  const ports = [await takenPort(), await takenPort()] as const;
  const text = `listen: { dns: ["127.0.0.1:${ports[0]}"], http: ["127.0.0.1:${ports[1]}"], admin: null }\ncache: { file: null }`;
  const failure = await App.start(configOf(text), surroundings).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ListenError);
  expect(failure).toMatchObject({
    problems: [expect.stringContaining(`dns 127.0.0.1:${ports[0]}`), expect.stringContaining(`http 127.0.0.1:${ports[1]}`)],
  });
});

test("whatever cannot be served is named at once", async () => {
  const text = 'ddns: { tokens: [abcdefghijklmnop] }\ncluster: { redis: "redis://127.0.0.1:6379" }\ncache: { file: null }';
  const failure = await App.start(configOf(text), surroundings).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(SiteError);
  expect(failure).toMatchObject({ problems: ["ddns is not there yet", "cluster is not there yet"] });
});

test("a fault in Fenliu itself is SERVFAIL for the one who met it, and told to the operator", async () => {
  const clock = fakeClock();
  let isBroken = false;
  const now = (): number => {
    if (isBroken) throw new Error("the clock is broken");
    return clock.now();
  };
  const site = await siteWith({ upstreams: { main: honest("page.example A 192.0.2.7") }, clock: { ...clock, now } });
  expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  isBroken = true;
  expect(await site.ask("page.example", "A", { id: 5 })).toMatchObject({ id: 5, rcode: "SERVFAIL", question: "page.example" });
  expect(site.log.join("")).toContain("a fault in Fenliu itself");
  isBroken = false;
  expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
});
