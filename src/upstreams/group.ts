import { isDeepStrictEqual } from "node:util";
import { AddressSet } from "../dns/address.ts";
import type { Answer } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import type { Clock } from "../lib/clock.ts";
import { Asking } from "./asking.ts";
import { askerOf, LeakGuard } from "./leaks.ts";
import { isAddressType, Member, type MemberStatus } from "./member.ts";
import type { GroupOptions, ServerOptions, Strategy } from "./options.ts";
import { isAt } from "./origins.ts";
import { Probes } from "./probes.ts";
import { Soundings } from "./soundings.ts";
import { planFor } from "./strategies.ts";
import { type Errand, type Upstream, UpstreamError } from "./upstream.ts";

/** Questions that may wait on one group: at a deadline of 4 s, 500 new names a second while it is dead. Each holds some kilobytes and a socket or two. */
export const MAX_GROUP_IN_FLIGHT = 2000;

export interface GroupContext {
  readonly openMember: (server: ServerOptions, group: GroupOptions) => Upstream;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * Servers that are asked as one. `exchange` gives the first good answer (NOERROR or NXDOMAIN, whole, to the right question); where no member
 * and no fallback has one, the most telling of the others with its extended errors. It throws `barred` only for a loop: every member is where
 * the question came from; `forbidden` where the group's `never` says no, without asking the fallback either. `exhausted` is for all else,
 * limits included, and `aborted` comes at once when the errand's signal aborts.
 */
export class Group implements Upstream {
  readonly options: GroupOptions;
  readonly leaks: LeakGuard;
  /** Whether all members are, and the fallback's too. */
  readonly encrypted: boolean;
  readonly #context: GroupContext;
  readonly #fallback: Group | null;
  readonly #members: readonly Member[];
  readonly #asksFrom: AddressSet;
  readonly #soundings: Soundings;
  readonly #probes: Probes;
  readonly #measured = new Set<Member>();
  readonly #askings = new Set<Asking>();
  readonly #wellListeners: (() => void)[] = [];
  #closed: Promise<void> | null = null;

  /** Opens its members, and closes them; the fallback is closed by whoever opened it. */
  constructor(options: GroupOptions, context: GroupContext, fallback: Group | null) {
    this.options = options;
    this.#context = context;
    this.#fallback = fallback;
    this.#asksFrom = AddressSet.of(...options.asksFrom);
    this.#members = openMembers(options, context, (member, well) => this.#turned(member, well));
    this.encrypted = this.#members.every(({ upstream }) => upstream.encrypted) && fallback?.encrypted !== false;
    this.leaks = new LeakGuard(options.name);
    this.#soundings = new Soundings(context.clock, (question) => this.leaks.reason(question, null) === null);
    this.#probes = new Probes(this.#members, context.clock, this.#soundings);
  }

  get label(): string {
    return this.options.name;
  }

  /** Whether any member is well. */
  get well(): boolean {
    return this.#members.some(({ well }) => well);
  }

  async exchange(question: Question, errand: Errand): Promise<Answer> {
    if (this.#closed !== null) throw new UpstreamError("closed", this.label, "the group is closed");
    if (errand.signal.aborted) throw new UpstreamError("aborted", this.label, "the caller gave up");
    this.leaks.check(question, askerOf(errand));
    const candidates = this.#candidates(errand);
    if (this.#askings.size >= MAX_GROUP_IN_FLIGHT) {
      throw new UpstreamError("exhausted", this.label, `${MAX_GROUP_IN_FLIGHT} questions are waiting already`);
    }
    const plan = planFor(this.options.strategy, candidates, this.#context.random);
    if (plan.measure !== null) void this.#measure(plan.measure, question, errand.origin);
    const asking = new Asking(
      {
        label: this.label,
        attemptMs: this.options.attemptMs,
        fallback: this.#fallback,
        fallbackTakesSubnet: isDeepStrictEqual(this.options.ecs, this.#fallback?.options.ecs ?? null),
        clock: this.#context.clock,
      },
      question,
      errand,
    );
    this.#askings.add(asking);
    try {
      return await asking.run(plan);
    } finally {
      this.#askings.delete(asking);
    }
  }

  /**
   * Whether this group, or its fallback, keeps questions from this address away from some member: such a question must not wait for the answer
   * to an equal one that may have gone there.
   */
  bars(origin: string): boolean {
    return this.#reachable(origin).length < this.#members.length || (this.#fallback?.bars(origin) ?? false);
  }

  /** Whether questions from this address can go to no member, because all of them are there: a loop. */
  loops(origin: string): boolean {
    return this.#reachable(origin).length === 0;
  }

  /** Calls `listener` each time this group has a well member again after it had none. */
  onWell(listener: () => void): void {
    this.#wellListeners.push(listener);
  }

  status(): GroupStatus {
    return {
      name: this.label,
      strategy: this.options.strategy,
      fallback: this.options.fallback,
      well: this.well,
      inFlight: this.#askings.size,
      breaches: this.leaks.breaches,
      members: this.#members.map((member) => member.status()),
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#probes.stop();
    this.#soundings.cancelAll();
    for (const asking of this.#askings) asking.cancel(new UpstreamError("closed", this.label, "the group was closed"));
    await Promise.all(this.#members.map(({ upstream }) => upstream.close()));
  }

  #candidates({ origin }: Errand): readonly Member[] {
    const reachable = origin === null ? this.#members : this.#reachable(origin);
    if (reachable.length === 0) throw new UpstreamError("barred", this.label, `the question came from there (${origin})`);
    return reachable;
  }

  #reachable(origin: string): readonly Member[] {
    return this.#asksFrom.hasText(origin) ? [] : this.#members.filter((member) => !isAt(member, origin));
  }

  // At most one at a time to a member, or the first burst of questions would all go to one that has not been measured yet.
  async #measure(member: Member, question: Question, origin: string | null): Promise<void> {
    if (!isAddressType(question.type) || this.#measured.has(member) || !member.begin(question)) return;
    this.#measured.add(member);
    const { attemptMs } = this.options;
    const { ending, elapsedMs } = await this.#soundings.sound(member.upstream, question, { origin, limitMs: attemptMs });
    this.#measured.delete(member);
    member.end(question, ending);
    member.latency.observe(ending.kind === "good" ? elapsedMs : Math.max(elapsedMs, attemptMs));
  }

  #turned(member: Member, well: boolean): void {
    this.#probes.turned(member, well);
    const first = well && this.#members.every((other) => other === member || !other.well);
    if (first) for (const listener of this.#wellListeners) listener();
  }
}

/** One group as the API and the command line show it. */
export interface GroupStatus {
  readonly name: string;
  readonly strategy: Strategy;
  readonly fallback: string | null;
  readonly well: boolean;
  readonly inFlight: number;
  /** Questions that the rules sent here against the group's `never`, and that were refused: in normal work none. */
  readonly breaches: number;
  /** In the order of the file. */
  readonly members: readonly MemberStatus[];
}

type Turned = (member: Member, well: boolean) => void;

function openMembers(options: GroupOptions, { openMember, clock }: GroupContext, changed: Turned): Member[] {
  if (options.servers.length === 0) throw new Error(`group ${options.name} has no servers`);
  const members: Member[] = [];
  try {
    for (const server of options.servers) members.push(new Member(server, openMember(server, options), { clock, changed }));
  } catch (error) {
    for (const { upstream } of members) void upstream.close();
    throw error;
  }
  return members;
}
