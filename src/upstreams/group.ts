import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { AddressSet, addressFromText, addressText } from "../dns/address.ts";
import type { Answer } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import type { Clock } from "../lib/clock.ts";
import { Dispatch, planFor } from "./dispatch.ts";
import { isAddressType, Member, type MemberStatus } from "./member.ts";
import type { GroupOptions, ServerOptions, Strategy } from "./options.ts";
import { BackgroundQueries, Probes } from "./probes.ts";
import { type Forbids, RouteGuard, requesterOf, type Violation } from "./route-guard.ts";
import { type ExchangeOptions, type Upstream, UpstreamError } from "./upstream.ts";

/** Questions that may wait on one group: at a deadline of 4 s, 500 new names a second while it is dead. Each holds some kilobytes and a socket or two. */
export const MAX_GROUP_IN_FLIGHT = 2000;

interface GroupContext {
  readonly openMember: (server: ServerOptions, group: GroupOptions) => Upstream;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Called when a group has a healthy member again after it had none: failures and stale rechecks held for it are void. */
  readonly onRecovery?: (group: string) => void;
  /** Called for each question that was kept from a group. */
  readonly onViolation?: (violation: Violation) => void;
}

/**
 * Servers that are asked as one. `exchange` gives the first good answer (NOERROR or NXDOMAIN, whole, to the right question); where no member
 * and no fallback has one, the most telling of the others with its extended errors. It throws `barred` only for a loop: every member is where
 * the question came from; `forbidden` where the group's `never` says no, without asking the fallback either. `exhausted` is for all else,
 * limits included, and `aborted` comes at once when the errand's signal aborts.
 */
export class Group implements Upstream {
  readonly options: GroupOptions;
  readonly leaks: RouteGuard;
  /** Whether all members are, and the fallback's too. */
  readonly encrypted: boolean;
  readonly #context: GroupContext;
  readonly #fallback: Group | null;
  readonly #members: readonly Member[];
  readonly #asksFrom: AddressSet;
  readonly #soundings: BackgroundQueries;
  readonly #probes: Probes;
  readonly #measured = new Set<Member>();
  readonly #askings = new Set<Dispatch>();
  #isRetired = false;
  #closed: Promise<void> | null = null;

  /** Opens its members, and closes them; the fallback is closed by whoever opened it. */
  constructor(options: GroupOptions, context: GroupContext, fallback: Group | null) {
    this.options = options;
    this.#context = context;
    this.#fallback = fallback;
    this.#asksFrom = AddressSet.of(...options.asksFrom);
    this.#members = openMembers(options, context, (member, healthy) => this.#turned(member, healthy));
    this.encrypted = this.#members.every(({ upstream }) => upstream.encrypted) && fallback?.encrypted !== false;
    this.leaks = new RouteGuard(options.name, context.onViolation);
    this.#soundings = new BackgroundQueries(context.clock, (question) => this.leaks.reason(question, null) === null);
    this.#probes = new Probes(this.#members, context.clock, this.#soundings);
  }

  get label(): string {
    return this.options.name;
  }

  /** Whether any member is healthy. */
  get healthy(): boolean {
    return this.#members.some(({ healthy }) => healthy);
  }

  async exchange(question: Question, errand: ExchangeOptions): Promise<Answer> {
    if (this.#closed !== null) throw new UpstreamError("closed", this.label, "the group is closed");
    if (errand.signal.aborted) throw new UpstreamError("aborted", this.label, "the caller gave up");
    this.leaks.check(question, requesterOf(errand));
    const candidates = this.#candidates(errand);
    if (this.#askings.size >= MAX_GROUP_IN_FLIGHT) {
      throw new UpstreamError("exhausted", this.label, `${MAX_GROUP_IN_FLIGHT} questions are waiting already`);
    }
    const plan = planFor(this.options.strategy, candidates, this.#context.random);
    if (plan.measure !== null) void this.#measure(plan.measure, question, errand.origin);
    const asking = new Dispatch(
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

  /** Whether this group is what these options and this fallback would open. */
  isFor(options: GroupOptions, fallback: Group | null): boolean {
    return this.#fallback === fallback && isDeepStrictEqual(this.options, options);
  }

  /** Whether a reload gave the group's name to other servers. Questions under way are still answered, but the answers must not be cached. */
  get isRetired(): boolean {
    return this.#isRetired;
  }

  retire(): void {
    this.#isRetired = true;
  }

  status(): GroupStatus {
    return {
      name: this.label,
      strategy: this.options.strategy,
      fallback: this.options.fallback,
      healthy: this.healthy,
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

  #candidates({ origin }: ExchangeOptions): readonly Member[] {
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
    const { ending, elapsedMs } = await this.#soundings.query(member.upstream, question, { origin, limitMs: attemptMs });
    this.#measured.delete(member);
    member.end(question, ending);
    member.latency.observe(ending.kind === "good" ? elapsedMs : Math.max(elapsedMs, attemptMs));
  }

  #turned(member: Member, healthy: boolean): void {
    this.#probes.turned(member, healthy);
    const first = healthy && this.#members.every((other) => other === member || !other.healthy);
    if (first) this.#context.onRecovery?.(this.label);
  }
}

/** One group as the API and the command line show it. */
export interface GroupStatus {
  readonly name: string;
  readonly strategy: Strategy;
  readonly fallback: string | null;
  readonly healthy: boolean;
  readonly inFlight: number;
  /** Questions that the rules sent here against the group's `never`, and that were refused: in normal work none. */
  readonly breaches: number;
  /** In the order of the file. */
  readonly members: readonly MemberStatus[];
}

type Turned = (member: Member, healthy: boolean) => void;

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

/** All groups of one configuration. */
export class Groups {
  readonly #groups: ReadonlyMap<string, Group>;

  constructor(groups: ReadonlyMap<string, Group>) {
    this.#groups = groups;
  }

  /** @throws Error for a name that the configuration does not have. */
  get(name: string): Group {
    const group = this.#groups.get(name);
    if (group === undefined) throw new Error(`there is no group ${name}`);
    return group;
  }

  /** From now on no question goes to a group that `forbids` keeps from it, be it of a client or of the group's own. */
  guardBy(forbids: Forbids): void {
    for (const group of this.#groups.values()) group.leaks.forbids = forbids;
  }

  /** In the order of the file. */
  status(): GroupStatus[] {
    return [...this.#groups.values()].map((group) => group.status());
  }

  /** Ends the questions under way on the groups that `next` does not hold too. May be called again. */
  async close(next: Groups | null = null): Promise<void> {
    const kept = next === null ? NO_GROUPS : next.#groups;
    const ending = [...this.#groups.values()].filter((group) => kept.get(group.label) !== group);
    await Promise.all(ending.map((group) => group.close()));
  }

  /** The group of that name if these options and this fallback would open an equal one; else null. */
  findFor(options: GroupOptions, fallback: Group | null): Group | null {
    const group = this.#groups.get(options.name);
    return group?.isFor(options, fallback) === true ? group : null;
  }
}

const NO_GROUPS: ReadonlyMap<string, Group> = new Map();

/**
 * Opens every group with its members, which the returned value owns from then on. Groups of `previous` with equal options and fallback go on:
 * they keep their connections, health and latency.
 * @throws Error for options that the checks of the configuration refuse, such as fallbacks in a circle; what was opened is closed again.
 */
export function openGroups(options: readonly GroupOptions[], context: GroupContext, previous: Groups | null = null): Groups {
  const byName = new Map(options.map((group) => [group.name, group]));
  const opened = new Map<string, Group>();
  const open = (name: string, dependents: readonly string[]): Group => {
    const known = opened.get(name);
    if (known !== undefined) return known;
    const group = byName.get(name);
    if (group === undefined) throw new Error(`there is no group ${name}`);
    if (dependents.includes(name)) throw new Error(`the fallback of ${name} leads back to it`);
    const fallback = group.fallback === null ? null : open(group.fallback, [...dependents, name]);
    const found = previous?.findFor(group, fallback) ?? new Group(group, context, fallback);
    opened.set(name, found);
    return found;
  };
  try {
    return new Groups(new Map(options.map(({ name }) => [name, open(name, [])])));
  } catch (error) {
    void new Groups(opened).close(previous);
    throw error;
  }
}

/**
 * By group, a fingerprint of what its answers come from: equal for equal servers in whatever order, however they are asked, with the same proxy,
 * subnet and fallback. Passwords have no part in it.
 * @param groups whose fallbacks do not lead in a circle.
 */
export function groupMarks(groups: readonly GroupOptions[]): ReadonlyMap<string, string> {
  const byName = new Map(groups.map((group) => [group.name, group]));
  return new Map(groups.map((group) => [group.name, digest(JSON.stringify(sourcesOf(group, byName)))]));
}

function sourcesOf(
  { servers, proxy, ecs, volatile, fallback }: GroupOptions,
  byName: ReadonlyMap<string, GroupOptions>,
): unknown {
  const next = fallback === null ? undefined : byName.get(fallback);
  return {
    servers: servers
      .map(({ protocol, host, port, path, addresses, tlsName }) =>
        JSON.stringify([protocol, host, port, path, addresses, tlsName]),
      )
      .sort(),
    proxy: proxy === null ? null : [proxy.protocol, proxy.host, proxy.port],
    ecs,
    volatile,
    fallback: next === undefined ? null : sourcesOf(next, byName),
  };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, 16);
}

/**
 * Every process of a host asks from these, so they say nothing about who asked: a resolver at 127.0.0.1 stays usable for programs beside it.
 * Where it does ask us, `asksFrom` says so.
 */
const SHARED_BY_ALL = new Set(["127.0.0.1", "::1"]);

/** Whether `origin` (as in `Errand.origin`) is an address that this member is asked at: its own questions must not go back to it. */
function isAt(member: Member, origin: string): boolean {
  const asked = canonical(origin);
  if (SHARED_BY_ALL.has(asked)) return false;
  const { host, addresses } = member.server;
  return [host, ...addresses, ...(member.upstream.addresses?.() ?? [])].some((address) => canonical(address) === asked);
}

// Addresses with a zone and names of hosts are compared as they are written.
function canonical(text: string): string {
  const octets = addressFromText(text);
  return octets === null ? text.toLowerCase() : addressText(octets);
}
