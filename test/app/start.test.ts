import { once } from "node:events";
import { createServer } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { App } from "../../src/app/app.ts";
import { parseConfig } from "../../src/config/load.ts";
import { RecordKeeping } from "../../src/control/recorder.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { ListenError } from "../../src/listen/listeners.ts";
import { ListRefresher } from "../../src/lists/refresher.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { ServerStateError } from "../../src/server/state.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const dependencies = {
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

async function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const occupant = createServer().listen(0, "127.0.0.1", () => {
    const address = occupant.address();
    occupant.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
  });
  return await promise;
}

/** The parts that the start opens after the listeners; each may fail. */
const STEPS = [
  [RecordKeeping, "open"],
  [ListRefresher, "open"],
] as const;

test("a port in use prevents the start, and every such port is named", async () => {
  const ports = [await takenPort(), await takenPort()] as const;
  const text = `listen: { dns: ["127.0.0.1:${ports[0]}"], http: ["127.0.0.1:${ports[1]}"], admin: null }\ncache: { file: null }`;
  const failure = await App.start(configOf(text), dependencies).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ListenError);
  expect(failure).toMatchObject({
    problems: [expect.stringContaining(`dns 127.0.0.1:${ports[0]}`), expect.stringContaining(`http 127.0.0.1:${ports[1]}`)],
  });
});

test("every unsupported setting is named at once", async () => {
  const text = 'log: { sinks: ["https://logs.example/in"] }\ncluster: { redis: "redis://127.0.0.1:6379" }\ncache: { file: null }';
  const failure = await App.start(configOf(text), dependencies).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ServerStateError);
  expect(failure).toMatchObject({ problems: ["cluster is not there yet", "log.sinks is not there yet"] });
});

test("a bug in Fenliu is SERVFAIL for the client, and reported to the operator", async () => {
  const clock = fakeClock();
  let readings = Number.POSITIVE_INFINITY;
  const now = (): number => {
    if (readings-- <= 0) throw new Error("the clock is broken");
    return clock.now();
  };
  const site = await siteWith({ upstreams: { main: honest("page.example A 192.0.2.7") }, clock: { ...clock, now } });
  expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  // When the question arrived is still known.
  readings = 1;
  expect(await site.ask("page.example", "A", { id: 5 })).toMatchObject({ id: 5, rcode: "SERVFAIL", question: "page.example" });
  expect(site.log.join("")).toContain("a fault in Fenliu itself");
  readings = Number.POSITIVE_INFINITY;
  expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
});

test("a failure in any step of the start leaves nothing open", async () => {
  const [dns, http] = [await freePort(), await freePort()];
  const text = `listen: { dns: ["127.0.0.1:${dns}"], http: ["127.0.0.1:${http}"], admin: "127.0.0.1:0" }
cache: { file: null }
log: { queries: { enabled: false } }`;
  for (const [owner, step] of STEPS) {
    const breaking = vi.spyOn(owner, step).mockRejectedValue(new Error("a fault"));
    await expect(App.start(configOf(text), dependencies)).rejects.toThrow("a fault");
    breaking.mockRestore();
    const app = await App.start(configOf(text), dependencies);
    await app.close();
  }
});

test("a part that cannot be closed does not prevent the close of other parts", async () => {
  const port = await freePort();
  const text = `listen: { dns: ["127.0.0.1:${port}"], http: [], admin: null }\ncache: { file: null }\nlog: { queries: { enabled: false } }`;
  const app = await App.start(configOf(text), dependencies);
  const breaking = vi.spyOn(ListRefresher.prototype, "close").mockRejectedValue(new Error("a fault"));
  await expect(app.close()).rejects.toThrow("a fault");
  breaking.mockRestore();
  const next = await App.start(configOf(text), dependencies);
  await next.close();
});
