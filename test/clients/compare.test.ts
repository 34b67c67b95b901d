import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { zone } from "../dns/zone.ts";
import { readReply } from "../support/message.ts";
import { deny, empty, respond, silent, withRcode } from "../support/zone-script.ts";
import { type Script, scriptedServer } from "../upstreams/scripted-server.ts";
import { QUIET, startFenliu } from "./fenliu.ts";
import { Scene } from "./scene.ts";
import { openStream, type StreamAsker } from "./stream-asker.ts";

const WITHIN_MS = 300;
/** As by default: what is bounded by nothing else takes as long. */
const DEADLINE_MS = 4000;

const NEAR = "192.0.2.7";
const FOREIGN = "198.51.100.7";
const FORGED = "203.0.113.1";
const FAR = "198.51.100.9";

const address =
  (data: string): Script =>
  (asked) =>
    respond(asked, { answers: zone(`${asked.name} 100 A ${data}`) });
const after =
  (delayMs: number, script: Script): Script =>
  async (asked) => ({ kind: "after", delayMs, action: await script(asked) });

/** What the domestic side may do, and what it comes to where the overseas one has no answer either. */
const NEARS: Readonly<Record<string, { readonly script: Script; readonly alone: string }>> = {
  honest: { script: address(NEAR), alone: NEAR },
  slow: { script: after(WITHIN_MS / 2, address(NEAR)), alone: NEAR },
  late: { script: after(WITHIN_MS * 2, address(NEAR)), alone: "SERVFAIL" },
  silent: { script: () => silent, alone: "SERVFAIL" },
  failing: { script: (asked) => withRcode(asked, 2), alone: "SERVFAIL" },
  empty: { script: empty, alone: "SERVFAIL" },
  denying: { script: deny, alone: "SERVFAIL" },
  foreign: { script: address(FOREIGN), alone: FOREIGN },
  poisoning: { script: address(FORGED), alone: "SERVFAIL" },
};

/** What the overseas side may do, and what it gives; null = nothing usable. */
const FARS: Readonly<Record<string, { readonly script: Script; readonly gives: string | null }>> = {
  honest: { script: address(FAR), gives: FAR },
  slow: { script: after(WITHIN_MS, address(FAR)), gives: FAR },
  silent: { script: () => silent, gives: null },
  failing: { script: (asked) => withRcode(asked, 2), gives: null },
  empty: { script: empty, gives: "NOERROR" },
  denying: { script: deny, gives: "NXDOMAIN" },
  poisoning: { script: address(FORGED), gives: null },
};

const pairs = Object.keys(NEARS).flatMap((near) => Object.keys(FARS).map((far) => [near, far] as const));

const scene = new Scene();
afterAll(() => scene.close());

/** A group for each behaviour, so that the illness of one is not that of another. */
async function groupLines(side: string, protocol: string, scripts: readonly (readonly [string, Script])[]): Promise<string> {
  const lines: string[] = [];
  for (const [name, script] of scripts) {
    const server = await scriptedServer("dns", script, { clock: systemClock });
    scene.defer(() => server.close());
    lines.push(`  ${side}-${name}: { servers: ["${protocol}://127.0.0.1:${server.port}"] }\n`);
  }
  return lines.join("");
}

const scriptsOf = (behaviours: Readonly<Record<string, { readonly script: Script }>>) =>
  Object.entries(behaviours).map(([name, { script }]) => [name, script] as const);

describe("a near and a far group, each in every state", () => {
  let stream: StreamAsker;
  const outcomes = new Map<string, { readonly got: string; readonly tookMs: number }>();

  beforeAll(async () => {
    writeFileSync(join(scene.folder, "near.txt"), "192.0.2.0/24\n");
    const groups = (await groupLines("near", "udp", scriptsOf(NEARS))) + (await groupLines("far", "tcp", scriptsOf(FARS)));
    const rules = pairs.map(
      ([near, far]) =>
        `  - { name: ${near}-${far}, domains: [${near}.${far}.example], compare: { near: near-${near}, far: far-${far}, keepNearIf: "list:near", within: ${WITHIN_MS}ms } }\n`,
    );
    const fenliu = await scene.add(
      startFenliu(
        scene.folder,
        `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
upstreams:
${groups}lists: { near: { addresses: [near.txt] } }
poison: [${FORGED}]
rules:
${rules.join("")}  - { name: rest, answer: refused }
${QUIET}`,
      ),
    );
    stream = await openStream(fenliu.ports.dns);
    scene.defer(async () => stream.close());
    await Promise.all(
      pairs.map(async ([near, far]) => {
        const startMs = performance.now();
        const reply = readReply(await stream.ask(`${near}.${far}.example`));
        outcomes.set(`${near} ${far}`, { got: reply.answers.join() || reply.rcode, tookMs: performance.now() - startMs });
      }),
    );
  });

  test.each(pairs)("near %s, far %s", (near, far) => {
    const { got = "", tookMs = Number.NaN } = outcomes.get(`${near} ${far}`) ?? {};
    const alone = NEARS[near]?.alone;
    const gives = FARS[far]?.gives ?? null;
    // With the far side silent there is time for the late answer too.
    const atLast = near === "late" && far === "silent" ? NEAR : alone;
    expect(got).toBe(alone === NEAR ? NEAR : (gives ?? atLast));
    // Whoever answers is never waited for longer than that for the other's sake.
    const isBounded = far !== "silent" || alone === NEAR;
    expect(tookMs < DEADLINE_MS / 2, `it took ${Math.round(tookMs)} ms`).toBe(isBounded);
  });
});
