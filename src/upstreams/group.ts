import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { AddressSet, networkOfAddress } from "../dns/address.ts";
import type { Answer } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import type { Requester } from "../lib/client.ts";
import type { Clock } from "../lib/clock.ts";
import { FairShare } from "../lib/fair-share.ts";
import { Dispatch, type DispatchContext, type DispatchOptions, HedgeBudget, planFor } from "./dispatch.ts";
import { canonicalText, isAddressType, MAX_MEMBER_IN_FLIGHT, Member, type MemberStatus } from "./member.ts";
import type { GroupOptions, ServerOptions, Strategy } from "./options.ts";
import { BackgroundQueries, Probes } from "./probes.ts";
import { type Egress, type ExchangeOptions, type Upstream, UpstreamError } from "./upstream.ts";

/**
 * Questions that may wait on one group: at a deadline of 4 s, 500 new names a second while it is dead. Each holds some kilobytes and one or two sockets.
 * One client alone gets half. No more than one member can carry, else the members would refuse before the clients' shares count.
 */
export const MAX_GROUP_IN_FLIGHT = MAX_MEMBER_IN_FLIGHT;

/** Stands for the client in questions that no client asked. */
const OURSELVES = "";

interface GroupContext {
  readonly openMember: (server: ServerOptions, group: GroupOptions) => Upstream;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Called when a group has a healthy member again after it had none. Cached failures of the group are void then. */
  readonly onRecovery?: (group: string) => void;
  /** Called for each question that `never` kept from a group. */
  readonly onViolation?: (violation: Violation) => void;
}

/** A question that the rules sent to a group against its `never`: a rule does something else than its author wanted. */
export interface Violation {
  readonly group: string;
  readonly question: Question;
  readonly reason: string;
}

/** Leave to ask a group one question. */
export interface GroupAdmission {
  /** The members that may be asked, at least one. */
  readonly members: readonly Member[];
  /** Whether the question may wait for an equal one of another client. false = that one may have gone to a member that this one must not reach. */
  readonly isShareable: boolean;
}

/**
 * Servers that are asked as one. `admit` decides whether a question may be sent, `dispatch` sends an admitted question, `exchange` does both.
 * A dispatch ends with the first good answer (NOERROR or NXDOMAIN, complete, to the right question), else with the most telling bad one of the
 * members and the fallback, with its extended errors.
 */
export class Group implements Upstream {
  readonly options: GroupOptions;
  readonly label: string;
  /** Whether all members are encrypted, and those of the fallback too. */
  readonly encrypted: boolean;
  readonly #context: GroupContext;
  readonly #dispatchContext: DispatchContext;
  readonly #fallback: Group | null;
  readonly #members: readonly Member[];
  readonly #asksFrom: AddressSet;
  readonly #queries: BackgroundQueries;
  readonly #probes: Probes;
  readonly #measured = new Set<Member>();
  readonly #hedges = new HedgeBudget();
  readonly #dispatches = new Set<Dispatch>();
  readonly #waiting = new FairShare(MAX_GROUP_IN_FLIGHT, networkOfAddress);
  /** The policy of the latest question. The group's own questions follow it. */
  #egress: Egress | null = null;
  #violations = 0;
  #isRetired = false;
  #closed: Promise<void> | null = null;

  /** Opens the members, and closes them in `close`. The opener of the fallback closes the fallback. */
  constructor(options: GroupOptions, context: GroupContext, fallback: Group | null) {
    const { name: label, attemptMs, fallbackAfterMs } = options;
    const { clock } = context;
    this.options = options;
    this.label = label;
    this.#context = context;
    this.#fallback = fallback;
    const fallbackTakesSubnet = isDeepStrictEqual(options.ecs, fallback?.options.ecs ?? null);
    const onEnd = (dispatch: Dispatch, requester: Requester | null): void => {
      this.#dispatches.delete(dispatch);
      this.#waiting.release(requester?.address ?? OURSELVES);
    };
    const hedges = this.#hedges;
    this.#dispatchContext = { label, attemptMs, fallback, fallbackAfterMs, fallbackTakesSubnet, hedges, clock, onEnd };
    this.#asksFrom = AddressSet.of(...options.asksFrom);
    this.#members = openMembers(options, context, (member, healthy) => this.#noteHealth(member, healthy));
    this.encrypted = this.#members.every(({ upstream }) => upstream.encrypted) && fallback?.encrypted !== false;
    this.#queries = new BackgroundQueries(clock, (question) => (this.#egress?.forbids(label, question, null) ?? null) === null);
    this.#probes = new Probes(this.#members, context, this.#queries);
  }

  /** Whether any member is healthy. */
  get healthy(): boolean {
    return this.#members.some(({ healthy }) => healthy);
  }

  /**
   * Decides, once for each question, whether the group may be asked. Returns the error `forbidden` if `never` forbids the question, which counts as a
   * violation; `barred` if every member is where the question came from (a loop); `closed` after `close`. The fallback is not asked either then.
   */
  admit(
    question: Question,
    { requester, egress }: Pick<ExchangeOptions, "requester" | "egress">,
  ): GroupAdmission | UpstreamError {
    if (this.#closed !== null) return new UpstreamError("closed", this.label, "the group is closed");
    if (egress !== undefined) {
      this.#egress = egress;
      const reason = egress.forbids(this.label, question, requester);
      if (reason !== null) return this.#refuse(question, reason);
    }
    if (requester === null) return { members: this.#members, isShareable: true };
    const { address } = requester;
    const members = this.#reachableFrom(address);
    if (members.length === 0) return new UpstreamError("barred", this.label, `the question came from there (${address})`);
    return { members, isShareable: members.length === this.#members.length && this.#fallback?.excludes(address) !== true };
  }

  #refuse(question: Question, reason: string): UpstreamError {
    this.#violations++;
    this.#context.onViolation?.({ group: this.label, question, reason });
    return new UpstreamError("forbidden", this.label, `never gets ${reason}`);
  }

  /** Sends an admitted question. @throws UpstreamError `crowded` when too many questions wait, of this client or in all. */
  dispatch(question: Question, options: DispatchOptions, { members }: GroupAdmission): Dispatch {
    const client = options.requester?.address ?? OURSELVES;
    if (!this.#waiting.hasRoom(client)) throw new UpstreamError("crowded", this.label, "too many questions are waiting already");
    const plan = planFor(this.options.strategy, members, this.#context.random);
    if (plan.measure !== null) void this.#measure(plan.measure, question, options.requester);
    this.#hedges.noteQuestion();
    this.#waiting.take(client);
    const dispatch = new Dispatch(this.#dispatchContext, { question, plan }, options);
    if (!dispatch.isSettled) this.#dispatches.add(dispatch);
    return dispatch;
  }

  /** @throws UpstreamError as `admit` and `dispatch` say, and `aborted` when the signal has aborted already. */
  start(question: Question, options: DispatchOptions): Dispatch {
    if (options.signal?.aborted === true) throw new UpstreamError("aborted", this.label, "the caller gave up");
    const admission = this.admit(question, options);
    if (admission instanceof UpstreamError) throw admission;
    return this.dispatch(question, options, admission);
  }

  async exchange(question: Question, { attempts, ...options }: ExchangeOptions): Promise<Answer> {
    const dispatch = this.start(question, options);
    try {
      return (await dispatch.result).answer;
    } finally {
      attempts.push(...dispatch.attempts());
    }
  }

  /** Whether questions from this address must not reach some member of the group or of its fallback. */
  excludes(address: string): boolean {
    return this.#reachableFrom(address).length < this.#members.length || (this.#fallback?.excludes(address) ?? false);
  }

  /** Whether questions from this address must not reach any member, because all members are there: a loop. */
  loops(address: string): boolean {
    return this.#reachableFrom(address).length === 0;
  }

  /** Whether this group is what these options and this fallback would open, so that its connections may stay. About answers: `groupMarks`. */
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
      inFlight: this.#dispatches.size,
      violations: this.#violations,
      members: this.#members.map((member) => member.status()),
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#probes.stop();
    this.#queries.cancelAll();
    for (const dispatch of this.#dispatches) dispatch.cancel(new UpstreamError("closed", this.label, "the group was closed"));
    await Promise.all(this.#members.map(({ upstream }) => upstream.close()));
  }

  /** The members without those that have the client's address: their own questions must not go back to them. */
  #reachableFrom(address: string): readonly Member[] {
    if (this.#asksFrom.hasText(address)) return [];
    const asked = canonicalText(address);
    if (SHARED_ADDRESSES.has(asked) || !this.#members.some((member) => member.isAt(asked))) return this.#members;
    return this.#members.filter((member) => !member.isAt(asked));
  }

  // At most one measurement of a member at a time, or the first burst of questions would go to one unmeasured member.
  async #measure(member: Member, question: Question, requester: Requester | null): Promise<void> {
    if (!isAddressType(question.type) || this.#measured.has(member) || !member.begin(question)) return;
    this.#measured.add(member);
    const { attemptMs } = this.options;
    const { outcome, elapsedMs } = await this.#queries.query(member.upstream, question, { requester, limitMs: attemptMs });
    this.#measured.delete(member);
    member.end(question, outcome);
    member.latency.observe(outcome.kind === "good" ? elapsedMs : Math.max(elapsedMs, attemptMs));
  }

  #noteHealth(member: Member, healthy: boolean): void {
    this.#probes.noteHealth(member, healthy);
    const isFirst = healthy && this.#members.every((other) => other === member || !other.healthy);
    if (isFirst) this.#context.onRecovery?.(this.label);
  }
}

/** One group as the API and the command line show it. */
export interface GroupStatus {
  readonly name: string;
  readonly strategy: Strategy;
  readonly fallback: string | null;
  readonly healthy: boolean;
  readonly inFlight: number;
  /** Questions that the rules sent here against the group's `never`, and that were refused. Normally none. */
  readonly violations: number;
  /** In the order of the file. */
  readonly members: readonly MemberStatus[];
}

function openMembers(
  options: GroupOptions,
  { openMember, clock }: GroupContext,
  onHealthChange: (member: Member, healthy: boolean) => void,
): Member[] {
  if (options.servers.length === 0) throw new Error(`group ${options.name} has no servers`);
  const members: Member[] = [];
  try {
    for (const server of options.servers)
      members.push(new Member(server, openMember(server, options), { clock, onHealthChange }));
  } catch (error) {
    for (const { upstream } of members) void upstream.close();
    throw error;
  }
  return members;
}

/**
 * Every process of a host sends from these addresses, so they do not tell which one asked: a resolver at 127.0.0.1 stays usable for programs beside
 * it. If that resolver asks us, `asksFrom` says so.
 */
const SHARED_ADDRESSES = new Set(["127.0.0.1", "::1"]);

/** All groups of one configuration. */
export class Groups {
  readonly #groups: ReadonlyMap<string, Group>;

  constructor(groups: ReadonlyMap<string, Group>) {
    this.#groups = groups;
  }

  /** @throws Error for an unknown name. */
  get(name: string): Group {
    const group = this.#groups.get(name);
    if (group === undefined) throw new Error(`there is no group ${name}`);
    return group;
  }

  /** In the order of the file. */
  status(): GroupStatus[] {
    return [...this.#groups.values()].map((group) => group.status());
  }

  /** Closes the groups that `next` does not share. May be called again. */
  async close(next: Groups | null = null): Promise<void> {
    const kept = next === null ? NO_GROUPS : next.#groups;
    const ending = [...this.#groups.values()].filter((group) => kept.get(group.label) !== group);
    await Promise.all(ending.map((group) => group.close()));
  }

  /** The group of that name, if these options and this fallback would open an equal one; else null. */
  findFor(options: GroupOptions, fallback: Group | null): Group | null {
    const group = this.#groups.get(options.name);
    return group?.isFor(options, fallback) === true ? group : null;
  }
}

const NO_GROUPS: ReadonlyMap<string, Group> = new Map();

/**
 * Opens every group with its members. The returned value owns them. Groups of `previous` with equal options and fallback are shared and keep their
 * connections, health and latency.
 * @throws Error for options that the checks of the configuration refuse, such as fallbacks in a circle. The opened groups are closed then.
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
 * A fingerprint of the source of each group's answers: equal for equal servers in any order, with equal proxy, subnet and fallback. Passwords and
 * the strategy do not count, so a group that is opened anew may keep its answers (`isFor` decides about connections).
 * @param groups whose fallbacks form no circle.
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
