import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { WhatIf } from "../../src/admin/schemas/views.ts";

import { TYPE } from "../../src/dns/types.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { zone } from "../dns/zone.ts";
import { empty, respond } from "../support/zone-script.ts";
import { scriptedServer } from "../upstreams/scripted-server.ts";
import { allRecords, apiOf } from "./api.ts";
import { type FenliuProcess, startFenliu } from "./fenliu.ts";
import { Scene } from "./scene.ts";
import { Stub } from "./stub.ts";

const QUERIES = 4000;
/** Of those, this share is asked by the television, by DoH. */
const ONE_IN = 10;
/** Under way at once. */
const WINDOW = 64;
/** Of each list; names below them are asked. */
const LISTED = 40;
const LISTS = ["cn", "games", "world", "ads"] as const;
const TYPES = ["A", "AAAA", "HTTPS", "TXT", "MX"] as const;

const scene = new Scene();
let ports: { readonly domestic: number; readonly overseas: number };

beforeAll(async () => {
  const open = async (address: string) => {
    const server = await scriptedServer("dns", (asked) =>
      asked.type === TYPE.A ? respond(asked, { answers: zone(`${asked.name} 300 A ${address}`) }) : empty(asked),
    );
    scene.defer(() => server.close());
    return server.port;
  };
  ports = { domestic: await open("192.0.2.1"), overseas: await open("198.51.100.1") };
  for (const list of LISTS) {
    const lines = Array.from({ length: LISTED }, (_, index) => `n${index}.${list}.example\n`);
    writeFileSync(join(scene.folder, `${list}.txt`), lines.join(""));
  }
});

afterAll(() => scene.close());

/** A split of which the list `games` goes to this group. */
function config(games: "domestic" | "overseas"): string {
  const lists = LISTS.map((list) => `  ${list}: { domains: ["${join(scene.folder, `${list}.txt`)}"] }\n`);
  return `
listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: "127.0.0.1:0" }
access: { rateLimit: { perSecond: 100000, burst: 100000 } }
upstreams: { domestic: { servers: ["127.0.0.1:${ports.domestic}"] }, overseas: { servers: ["127.0.0.1:${ports.overseas}"] } }
lists:
${lists.join("")}rules:
  - { name: plain, domains: [n1.games.example, n1.cn.example], https: nodata }
  - { name: ads, domains: "list:ads", answer: nodata }
  - { name: tv, clients: [tv], upstream: domestic }
  - { name: mail, types: [MX], upstream: overseas }
  - { name: split, longest: { "list:cn": domestic, "list:games": ${games}, "list:world": overseas } }
  - { name: others, upstream: overseas }
cache: { file: null }
`;
}

test("the changes that what-if reports are the differences between two servers with both configurations, for thousands of queries", async () => {
  const before = config("domestic");
  const draft = config("overseas");
  const servers = await Promise.all(
    [before, draft].map((yaml, index) => scene.add(startFenliu(scene.subfolder(`server-${index}`), yaml))),
  );
  const [old, replayed] = await Promise.all(
    servers.map(async (server) => {
      await askAll(server);
      return sorted(await allRecords(apiOf(server)));
    }),
  );
  if (old === undefined || replayed === undefined) throw new Error("there are two servers");
  expect([old.length, replayed.length]).toEqual([QUERIES, QUERIES]);
  const pairs = old.map((record, index) => [record, replayed[index] ?? record] as const);
  expect(pairs.filter(([one, other]) => questionOf(one) !== questionOf(other))).toEqual([]);
  const really = tally(
    pairs
      .filter(([one, other]) => wayOf(one) !== wayOf(other))
      .map(([one, other]) => `${wayOf(one)} -> ${wayOf(other)}: ${one.name} ${one.type}`),
  );

  const [server] = servers;
  if (server === undefined) throw new Error("there is a first server");
  const json = { config: draft, from: "1h", examples: 100 };
  const { status, body } = await apiOf(server).call("POST", "/api/v1/whatif", { json });
  expect(status).toBe(200);
  // It is as the document says, or the call would have failed.
  const { queries, changed, truncated, changes, notes } = body as WhatIf;
  expect({ queries, truncated, notes }).toEqual({ queries: QUERIES, truncated: false, notes: [] });
  const foreseen = changes.flatMap((change) =>
    change.names.flatMap(({ name, type, queries: count }) =>
      Array<string>(count).fill(`${wayOf(change.before)} -> ${wayOf(change.after)}: ${name} ${type}`),
    ),
  );
  expect(tally(foreseen)).toEqual(really);
  expect(changed).toBe(foreseen.length);
  // The test is about something: many queries change, and more do not.
  expect(changed).toBeGreaterThan(QUERIES / 10);
  expect(changed).toBeLessThan(QUERIES / 2);
});

/** Asks everything, in the same order for each server. */
async function askAll({ ports: { dns, http } }: FenliuProcess): Promise<void> {
  const stub = await Stub.open(dns);
  const asker = async (first: number): Promise<void> => {
    for (let index = first; index < QUERIES; index += WINDOW) {
      const list = LISTS[index % LISTS.length] ?? "cn";
      // Seven is prime to the number of lists and of types: all combinations come.
      const name = `${index % 3 === 0 ? "www." : ""}n${(index * 7) % (LISTED + 5)}.${list}.example`;
      const type = TYPES[Math.floor(index / LISTS.length) % TYPES.length] ?? "A";
      if (index % ONE_IN === 0) await askAsTelevision(http, name, type);
      else expect((await stub.ask(name, type))?.rcode).toBe("NOERROR");
    }
  };
  await Promise.all(Array.from({ length: WINDOW }, (_, first) => asker(first)));
  await stub.close();
}

async function askAsTelevision(port: number, name: string, type: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/dns-query/tv?name=${name}&type=${type}`, {
    headers: { accept: "application/dns-json" },
  });
  expect(await response.json()).toMatchObject({ Status: 0 });
}

function questionOf({ name, type, client, clientId }: QueryRecord): string {
  return `${name} ${type} ${client} ${clientId}`;
}

function sorted(records: readonly QueryRecord[]): QueryRecord[] {
  return records.toSorted((one, other) => questionOf(one).localeCompare(questionOf(other)));
}

function wayOf({ rule, route, action }: Pick<QueryRecord, "rule" | "route" | "action">): string {
  return `${rule} ${route} ${action}`;
}

function tally(texts: readonly string[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return Object.fromEntries(counts);
}
