import { type Answer, buildAnswer, recordsOf } from "../../../src/dns/answer.ts";
import { nameFromText } from "../../../src/dns/name.ts";
import type { Question } from "../../../src/dns/query.ts";
import { CLASS, RCODE, TYPE } from "../../../src/dns/types.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import { type Group, type Groups, openGroups } from "../../../src/upstreams/group.ts";
import type { GroupOptions, ServerOptions } from "../../../src/upstreams/options.ts";
import {
  type Attempt,
  type ExchangeOptions,
  type Upstream,
  UpstreamError,
  type UpstreamFailure,
} from "../../../src/upstreams/upstream.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { serverOptions } from "../server-options.ts";

/** What a scripted server does with a question. */
export type Behaviour =
  | { readonly kind: "answer"; readonly afterMs: number; readonly rcode: number; readonly edit?: Partial<Answer> }
  | { readonly kind: "fail"; readonly afterMs: number; readonly failure: UpstreamFailure; readonly retryAfter: string | null }
  | { readonly kind: "silent" };

export const silent: Behaviour = { kind: "silent" };

export function answers(afterMs: number, rcode: number = RCODE.NOERROR, edit: Partial<Answer> = {}): Behaviour {
  return { kind: "answer", afterMs, rcode, edit };
}

export function fails(failure: UpstreamFailure, afterMs = 1, retryAfter: string | null = null): Behaviour {
  return { kind: "fail", afterMs, failure, retryAfter };
}

/** A server whose every reply is scripted; it obeys aborts as the seam asks for. */
export class ScriptedServer implements Upstream {
  readonly label: string;
  readonly encrypted: boolean;
  readonly asked: { readonly question: Question; readonly atMs: number }[] = [];
  behaviour: Behaviour = answers(10);
  aborted = 0;
  closed = 0;
  boundTo: readonly string[] = [];
  readonly #clock: Clock;

  constructor(server: ServerOptions, clock: Clock) {
    this.label = server.label;
    this.encrypted = server.protocol === "tls" || server.protocol === "https";
    this.#clock = clock;
  }

  exchange(question: Question, { signal, attempts, group }: ExchangeOptions): Promise<Answer> {
    const startedMs = this.#clock.now();
    const { behaviour } = this;
    this.asked.push({ question, atMs: startedMs });
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const note = (end: Pick<Attempt, "rcode" | "failure">): void => {
      attempts.push({
        group: group ?? null,
        server: this.label,
        transport: "udp",
        startedMs,
        elapsedMs: this.#clock.now() - startedMs,
        ...end,
      });
    };
    const fail = (failure: UpstreamFailure, retryAfter: string | null = null): void => {
      note({ rcode: null, failure });
      reject(new UpstreamError(failure, this.label, "scripted", retryAfter));
    };
    const onAbort = (): void => {
      this.aborted += 1;
      timer?.cancel();
      fail("aborted");
    };
    const end = (): void => {
      signal.removeEventListener("abort", onAbort);
      if (behaviour.kind === "fail") fail(behaviour.failure, behaviour.retryAfter);
      if (behaviour.kind !== "answer") return;
      note({ rcode: behaviour.rcode, failure: null });
      resolve(answerFrom(this.label, question, behaviour));
    };
    const timer = behaviour.kind === "silent" ? null : this.#clock.setTimer(end, behaviour.afterMs);
    signal.addEventListener("abort", onAbort);
    return promise;
  }

  addresses(): readonly string[] {
    return this.boundTo;
  }

  close(): Promise<void> {
    this.closed += 1;
    return Promise.resolve();
  }
}

/** The data of the one record is the label, so that a test sees who gave the answer. */
function answerFrom(label: string, { name, type, class: klass }: Question, behaviour: Behaviour & { kind: "answer" }): Answer {
  const record = { owner: name, type, ttlSeconds: 60, data: Buffer.from(label, "latin1") };
  const built = buildAnswer({ name, type, class: klass, rcode: behaviour.rcode & 15, answers: [record], authority: [] });
  return { ...built, ...behaviour.edit };
}

/** Which server an answer came from. */
export function giverOf(answer: Answer): string {
  const [record] = recordsOf(answer);
  return record === undefined ? "" : Buffer.from(answer.wire.subarray(record.data, record.end)).toString("latin1");
}

export function question(text = "www.example", type: number = TYPE.A): Question {
  const name = nameFromText(text);
  if (name === null) throw new Error(text);
  return { name, type, class: CLASS.IN, dnssecOk: false, checkingDisabled: false, clientSubnet: null };
}

export function groupOptions(name: string, changes: Partial<GroupOptions> = {}): GroupOptions {
  return {
    name,
    servers: [serverOptions("a"), serverOptions("b"), serverOptions("c")],
    strategy: "failover",
    attemptMs: 600,
    fallback: null,
    fallbackAfterMs: null,
    asksFrom: [],
    never: null,
    volatile: false,
    ecs: null,
    proxy: null,
    rebinding: null,
    accept: [],
    drop: [],
    ca: null,
    ...changes,
  };
}

export interface Exchanged {
  /** The server whose answer came, or the failure. */
  readonly outcome: string;
  readonly answer: Answer | null;
  readonly elapsedMs: number;
  readonly attempts: readonly Attempt[];
}

export interface AskOptions {
  readonly group?: string;
  readonly question?: Question;
  readonly deadlineMs?: number;
  readonly origin?: string | null;
  readonly doubtsEmpty?: boolean;
}

/** Groups of scripted servers under a clock that stands still. */
export class Site {
  readonly clock: FakeClock = fakeClock();
  readonly servers = new Map<string, ScriptedServer>();
  readonly groups: Groups;
  /** The groups that had no healthy member and then had one again, in the order of the events. */
  readonly recovered: string[] = [];
  readonly #first: string;
  /** What `random` gives; 0.5 never asks for a measurement. */
  random: () => number = () => 0.5;

  constructor(...options: readonly GroupOptions[]) {
    this.#first = options[0]?.name ?? "";
    this.groups = openGroups(options, {
      openMember: (server) => {
        const scripted = new ScriptedServer(server, this.clock);
        this.servers.set(server.label, scripted);
        return scripted;
      },
      clock: this.clock,
      random: () => this.random(),
      onRecovery: (group) => this.recovered.push(group),
    });
  }

  get group(): Group {
    return this.groups.get(this.#first);
  }

  server(label: string): ScriptedServer {
    const server = this.servers.get(label);
    if (server === undefined) throw new Error(`no server ${label}`);
    return server;
  }

  behave(behaviours: Readonly<Record<string, Behaviour>>): void {
    for (const [label, behaviour] of Object.entries(behaviours)) this.server(label).behaviour = behaviour;
  }

  /** Labels of the servers that were asked since the last call, in order. */
  takeAsked(): string[] {
    const asked = [...this.servers.values()].flatMap((server) => server.asked.map(({ atMs }) => ({ label: server.label, atMs })));
    for (const server of this.servers.values()) server.asked.length = 0;
    return asked.sort((a, b) => a.atMs - b.atMs).map(({ label }) => label);
  }

  /** Begins a question; the caller moves the clock. */
  begin(options: AskOptions = {}): Promise<Exchanged> {
    const { group = this.#first, deadlineMs = 4000, origin = null, doubtsEmpty = false } = options;
    const startedMs = this.clock.now();
    const controller = new AbortController();
    const timer = this.clock.setTimer(() => controller.abort(), deadlineMs);
    const attempts: Attempt[] = [];
    const requester = origin === null ? null : { address: origin, clientId: null };
    const exchangeOptions = { signal: controller.signal, attempts, requester, doubtsEmpty };
    const done = (outcome: string, answer: Answer | null): Exchanged => {
      timer.cancel();
      return { outcome, answer, elapsedMs: this.clock.now() - startedMs, attempts };
    };
    return this.groups
      .get(group)
      .exchange(options.question ?? question(), exchangeOptions)
      .then(
        (answer) => done(giverOf(answer), answer),
        (error: unknown) => {
          if (error instanceof UpstreamError) return done(error.failure, null);
          throw error;
        },
      );
  }

  /** Asks, and moves the clock until the outcome is there. */
  async ask(options: AskOptions = {}): Promise<Exchanged> {
    let ended = false;
    const exchanged = this.begin(options).finally(() => {
      ended = true;
    });
    await this.clock.advance(0);
    // Timers stand at whole milliseconds, so this stops the clock at the very moment of the outcome.
    while (!ended) await this.clock.advance(1);
    return exchanged;
  }

  /** Asks one question after another. */
  async askTimes(times: number, options: AskOptions = {}): Promise<Exchanged[]> {
    const exchanged: Exchanged[] = [];
    for (let index = 0; index < times; index++) exchanged.push(await this.ask(options));
    return exchanged;
  }
}
