import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { RCODE } from "../../src/dns/types.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { QUIET } from "./fenliu.ts";
import { FORWARDERS } from "./forwarders.ts";
import { Scene } from "./scene.ts";
import { type Fault, FaultyUpstreams, faults } from "./type65-faults.ts";
import { askAll, type Findings, losses, ORDERS, WITHIN_TTLS } from "./type65-orders.ts";

// What forwarders.test.ts shows is worth something only if it would notice. So here Fenliu is built with one of its laws taken out, which no
// setting can do, and the forwarders behind it lose addresses exactly where that law keeps them.

const asking = {
  modes: ["nodata", "pass", "strips"],
  orders: ORDERS.filter(({ steps }) => steps[0] === "HTTPS"),
  rounds: WITHIN_TTLS,
} as const;

type Empty = typeof import("../../src/answers/negative.ts");

const struck = FORWARDERS.filter(({ spreadsNxdomain }) => spreadsNxdomain);

interface Build {
  readonly build: string;
  /** Takes the law out of the modules that are loaded next. */
  readonly take: () => void;
  /** Where addresses are lost, as of `losses`. */
  readonly lost: readonly string[];
}

const builds: readonly Build[] = [
  { build: "as it is, with all its laws", take: () => undefined, lost: [] },
  {
    build: "without the guard: an upstream's NXDOMAIN is believed",
    take: () => mockEmpty(() => ({ toNodata: (nxdomain) => nxdomain })),
    lost: ["pass nxdomain", "strips nxdomain"],
  },
  {
    build: "without law 1: a filtered type is NXDOMAIN",
    take: () =>
      mockEmpty((actual) => ({
        nodataAnswer: (question, ttlSeconds) =>
          actual.negativeAnswer(question, { rcode: RCODE.NXDOMAIN, soaOwner: question.name, ttlSeconds }),
      })),
    lost: faults.map((fault) => `nodata ${fault}`).sort(),
  },
  {
    build: "where an empty answer becomes NXDOMAIN",
    take: () =>
      mockEmpty((actual) => ({
        addSoa: (answer, ttlSeconds) => {
          const wire = Buffer.from(actual.addSoa(answer, ttlSeconds).wire);
          wire.writeUInt8((wire.readUInt8(3) & 0xf0) | RCODE.NXDOMAIN, 3);
          return { ...actual.addSoa(answer, ttlSeconds), wire, rcode: RCODE.NXDOMAIN };
        },
      })),
    lost: ["pass bare", "strips bare"],
  },
  {
    build: "where a failure becomes NXDOMAIN",
    take: () =>
      mockEmpty((actual) => ({
        emptyAnswer: (question) =>
          actual.negativeAnswer(question, { rcode: RCODE.NXDOMAIN, soaOwner: question.name, ttlSeconds: 60 }),
      })),
    lost: ["pass", "strips"].flatMap((mode) => ["drop", "refused", "servfail"].map((fault) => `${mode} ${fault}`)),
  },
];

function mockEmpty(change: (actual: Empty) => Partial<Empty>): void {
  vi.doMock("../../src/answers/negative.ts", async (importActual) => {
    const actual = await importActual<Empty>();
    return { ...actual, ...change(actual) };
  });
}

const scene = new Scene();
/** By build and forwarder. */
const found = new Map<string, ReadonlyMap<Fault, Findings>>();

beforeAll(async () => {
  const upstreams = await FaultyUpstreams.open();
  scene.defer(() => upstreams.close());
  const asked: Promise<void>[] = [];
  for (const [index, { build, take }] of builds.entries()) {
    const port = await startFenliuOf(take, `${upstreams.config()}${QUIET}`);
    for (const { name, start } of struck) {
      const label = `${name}-${index}`;
      const forwarder = await scene.add(start(scene.subfolder(label), { ".": port }));
      asked.push(
        askAll({ port: forwarder.port, label, ...asking }).then((findings) => void found.set(`${build} ${name}`, findings)),
      );
    }
  }
  await Promise.all(asked);
});

afterAll(() => scene.close());

/** A Fenliu in this process, made of modules that are loaded anew. @returns its port. */
async function startFenliuOf(take: () => void, yaml: string): Promise<number> {
  vi.resetModules();
  take();
  const { App } = await import("../../src/app/app.ts");
  vi.doUnmock("../../src/answers/negative.ts");
  const parsed = parseConfig(yaml, null);
  if (parsed.kind === "invalid") throw new Error("the configuration has problems");
  const log = operationsLog("error", () => undefined, false);
  const app = await App.start(parsed.config, { clock: systemClock, log, ca: null, resolvConf: "/nowhere" });
  scene.defer(() => app.close());
  return app.bound.dns[0]?.port ?? 0;
}

describe.each(builds)("behind a Fenliu $build", ({ build, lost }) => {
  test.each(struck)("$name loses exactly the addresses that the missing law protects", ({ name }) => {
    expect(losses(found.get(`${build} ${name}`) ?? new Map())).toEqual(lost);
  });
});
