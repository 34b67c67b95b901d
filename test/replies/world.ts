import { parseConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/types.ts";
import { QueryRecorder } from "../../src/control/recorder.ts";
import type { RepeatedReplies } from "../../src/control/replies.ts";
import { DeviceNames, type RouterDevice } from "../../src/devices/device-names.ts";
import { addressFromText } from "../../src/dns/address.ts";
import { nameFromText } from "../../src/dns/name.ts";
import { typeName } from "../../src/dns/types.ts";
import type { Client } from "../../src/lib/client.ts";
import { EntryReader } from "../../src/log/entries.ts";
import { QueryFeed } from "../../src/log/feed.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { decodeRow, storedRowOf } from "../../src/log/rows.ts";
import { ROWS_AT } from "../../src/replies/layout.ts";
import { ReplyReader, threadBooks } from "../../src/replies/reader.ts";
import { handlerFor, type Serving, waitingQueries } from "../../src/server/pipeline.ts";
import type { AnswerFeed, ReplyPublisher } from "../../src/server/query-event.ts";
import { closeState, openState, type ServerState } from "../../src/server/state.ts";
import { openGroups } from "../../src/upstreams/group.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { memberOf } from "../support/workbench.ts";
import type { Script } from "../upstreams/scripted-server.ts";

const log = operationsLog("silent", () => {}, false);

let freeMemory: SharedArrayBuffer | undefined;

/** The memory of a table of before, which had 16 MiB of its own; what was in its rows is still there. */
function tableMemory(): SharedArrayBuffer | undefined {
  const memory = freeMemory;
  freeMemory = undefined;
  if (memory !== undefined) new Uint8Array(memory, 0, ROWS_AT).fill(0);
  return memory;
}

const configs = new Map<string, Config>();

/** Parsed once: a configuration is never changed, and each history has some. */
function configOf(yaml: string): Config {
  const known = configs.get(yaml);
  if (known !== undefined) return known;
  const parsed = parseConfig(
    `${yaml}\nupstreams: { main: { servers: [udp://192.0.2.1] }, other: { servers: [tls://192.0.2.2] } }`,
    null,
  );
  if (parsed.kind === "invalid") throw new Error(JSON.stringify(parsed.problems));
  const config = { ...parsed.config, cache: { ...parsed.config.cache, file: null } };
  configs.set(yaml, config);
  return config;
}

const RING_BYTES = 64 * 1024;

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** How a query comes. */
export type Way = Pick<Client, "transport" | "http" | "method" | "clientId">;

export const UDP: Way = { transport: "udp", http: null, method: null, clientId: null };

interface WorldSetup {
  /** Whether replies are repeated, those over UDP as by its thread. */
  readonly repeats: boolean;
  readonly yaml: string;
  readonly script: Script;
  /** So small that answers make room for each other. */
  readonly cacheBytes: number;
}

/**
 * A server without sockets and threads: what a thread would read is read here, by the same code, between one query and the next. Two worlds that are told
 * the same must say the same, whether one of them repeats replies or not.
 */
export class World {
  /** Begins some seconds before a full minute, when rules with hours change. */
  readonly clock = fakeClock(Date.UTC(2026, 0, 1, 0, 0, 50));
  /** The questions that reached upstreams. */
  readonly asked: string[] = [];
  readonly recorder = new QueryRecorder(
    this.clock,
    (error) => {
      throw error;
    },
    // What is written is taken after each question.
    new QueryFeed(RING_BYTES),
  );
  /** Takes addresses of answers. */
  feed: AnswerFeed | null = null;
  /** How many replies were repeated. */
  repeated = 0;
  readonly #dependencies = { clock: this.clock, log, ca: null, resolvConf: "/nowhere" };
  readonly #waiting = waitingQueries();
  readonly #replies: RepeatedReplies | null;
  readonly #reader: ReplyReader | null;
  readonly #entries = new EntryReader(this.recorder.feed.texts);
  readonly #setup: WorldSetup;
  #devices: readonly RouterDevice[] = [];
  #names: DeviceNames | null = null;
  #state: ServerState;

  static async open(setup: WorldSetup): Promise<World> {
    const world = new World(setup);
    await world.#begin();
    return world;
  }

  private constructor(setup: WorldSetup) {
    this.#setup = setup;
    this.#replies = setup.repeats ? this.recorder.openReplies(tableMemory()) : null;
    const [, ring] = this.recorder.feed.rings;
    this.#reader = this.#replies === null ? null : this.#openReader(this.#replies.table.memory, ring.memory);
    this.#state = Object.create(null);
  }

  #openReader(memory: SharedArrayBuffer, log: SharedArrayBuffer): ReplyReader {
    const { clock } = this;
    const readerClock = { now: clock.now, wallOffsetMs: () => clock.wallMs() - clock.now() };
    return new ReplyReader(memory, threadBooks(memory, log), readerClock);
  }

  async #begin(): Promise<void> {
    const askRouter = async () => this.#devices;
    this.#names = await DeviceNames.open({ clock: this.clock, leases: [], askRouter, routerAddresses: [], warn: () => {} });
    this.#names.onChange = () => this.#replies?.forgetClients();
    const config = configOf(this.#setup.yaml);
    const opened = await openState(config, this.#dependencies, null);
    const groups = openGroups(config.upstreams.groups, {
      openMember: (server, { name }) =>
        memberOf({ label: server.label, encrypted: name === "other" }, this.clock, (asking) => {
          this.asked.push(`${name} ${asking.name} ${typeName(asking.type)}`);
          return this.#setup.script(asking);
        }),
      clock: this.clock,
      random: () => 0.5,
      onRecovery: (group) => opened.shared.cache.forgetFailures(group),
      onViolation: () => {},
    });
    await opened.shared.groups.close();
    const shared = { ...opened.shared, groups };
    shared.cache.configure({ ...config.cache, sizeBytes: this.#setup.cacheBytes });
    this.#use({ ...opened, shared, resolver: { ...opened.resolver, groups } });
  }

  #use(state: ServerState): void {
    this.#state = state;
    this.#replies?.use(state);
    this.recorder.expect(state.config);
    this.recorder.use({ ...state.config.log.queries, enabled: true });
  }

  async reload(yaml: string): Promise<void> {
    const previous = this.#state;
    const next = await openState(configOf(yaml), this.#dependencies, previous);
    this.#use(next);
    if (next !== previous) await closeState(previous, next);
  }

  /** The feed has lost addresses. */
  readonly onLoss = (): void => this.#replies?.withdrawAll();

  /** The router tells of these devices from now on, and is asked. */
  async know(devices: readonly RouterDevice[]): Promise<void> {
    this.#devices = devices;
    await this.clock.advance(60_000);
  }

  flush(name: string, subtree: boolean): number {
    const wire = nameFromText(name);
    return wire === null ? 0 : this.#state.shared.cache.flush(wire, subtree);
  }

  /**
   * Sends a message and advances time until it is answered.
   * @returns the reply, and over HTTP how long it may be held; null = there is none.
   */
  async ask(message: Uint8Array, address: string, way: Way = UDP): Promise<string | null> {
    const repeated = way.transport === "udp" ? this.#repeat(message, address) : null;
    if (repeated !== null) {
      // As long as for the others, whose promises settle meanwhile.
      await this.clock.advance(0);
      return hex(repeated);
    }
    const serving: Serving = {
      state: this.#state,
      recorder: this.recorder,
      waiting: this.#waiting,
      names: this.#names,
      replies: this.#replies === null ? null : this.#counted(this.#replies),
      feed: this.feed,
    };
    const client = { address, port: 5353, ...way };
    let ended = false;
    const reply = Promise.resolve(handlerFor(serving, log).answer(Uint8Array.from(message), client)).finally(() => {
      ended = true;
    });
    await this.clock.advance(0);
    for (let waitedMs = 0; !ended && waitedMs < 10_000; waitedMs += 50) await this.clock.advance(50);
    const said = await reply;
    if (said === null) return null;
    return way.transport === "doh" ? `${hex(said.wire)} for ${said.maxAgeSeconds} s` : hex(said.wire);
  }

  /** Counts what is repeated. */
  #counted(replies: RepeatedReplies): ReplyPublisher {
    return {
      offer: (event, feed) => replies.offer(event, feed),
      repeat: (message, client) => {
        const reply = replies.repeat(message, client);
        if (reply !== null) this.repeated++;
        return reply;
      },
    };
  }

  #repeat(message: Uint8Array, address: string): Uint8Array | null {
    const bytes = address.includes("%") ? null : addressFromText(address);
    if (this.#reader === null || bytes === null) return null;
    const whole = new Uint8Array(16);
    if (bytes.length === 4) whole.set([0xff, 0xff], 10);
    whole.set(bytes, 16 - bytes.length);
    const [first = 0, second = 0, third = 0, fourth = 0] = new Int32Array(whole.buffer);
    const room = new Uint8Array(2048);
    room.set(message, 64);
    this.#reader.begin();
    const client = this.#reader.findClient(first, second, third, fourth);
    const length = client < 0 ? 0 : this.#reader.answer(room, 64, message.length, client);
    this.#reader.end();
    if (length === 0) return null;
    this.repeated++;
    return room.slice(64, 64 + length);
  }

  /** What was written into the log since the last call, but for the ids. */
  records() {
    const rows = this.recorder.feed.rings.flatMap((ring) => {
      const found = ring.spans(ring.taken, ring.written).flatMap((span) => this.#entries.rows(span));
      ring.release(ring.written);
      return found;
    });
    return rows.map((row) => ({ ...decodeRow(storedRowOf(row)).record, id: 0 }));
  }

  /** Everything that is counted. */
  counts() {
    const { counters } = this.recorder;
    const { shared } = this.#state;
    return {
      queries: [...counters.queries()],
      durations: counters.durations("cache"),
      rules: [...counters.rules.entries()],
      groups: [...counters.groups.entries()],
      actions: counters.actions(),
      dropped: counters.recordsDropped,
      cache: shared.cache.stats(),
      written: this.recorder.feed.written,
      hits: [...shared.cache.entries()].map(({ key, held }) => [key, held.hits]),
    };
  }

  async close(): Promise<void> {
    freeMemory = this.#replies?.table.memory ?? freeMemory;
    this.#names?.close();
    await this.#state.shared.groups.close();
    await closeState(this.#state, null);
  }
}
