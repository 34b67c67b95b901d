import type { Health, HealthItem } from "../admin/schemas/health.ts";
import type { Config } from "../config/types.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { formatDuration } from "../lib/duration.ts";
import { type Said, say } from "../lib/said.ts";
import { errorText } from "../lib/text.ts";
import { utcDay } from "../listen/certificate.ts";
import type { CertificateStatus } from "../listen/tls.ts";
import type { ListReport } from "../lists/load.ts";
import type { LogStatus } from "../log/record.ts";
import type { FeederStatus } from "../routeros/address-lists.ts";
import { checkExpectations } from "../rules/checks.ts";
import type { RulePause } from "../server/pauses.ts";
import type { Policy } from "../server/policy.ts";
import type { GroupStatus } from "../upstreams/group.ts";
import type { RouterDrift } from "./router.ts";
import { listView, timeText } from "./views.ts";

/** What health is judged by, at one moment. */
export interface Vitals {
  readonly config: Config;
  readonly policy: Policy;
  readonly groups: readonly GroupStatus[];
  readonly certificate: CertificateStatus | null;
  readonly log: LogStatus;
  /** The address lists of the router; null = none are fed. */
  readonly router: Pick<FeederStatus, "problem" | "queued"> | null;
  /** The last check of the router; null = none was made. */
  readonly drift: RouterDrift | null;
  readonly pauses: readonly RulePause[];
}

interface HealthWatchParts {
  readonly clock: Clock;
  readonly vitals: () => Vitals;
  /** The lists with what the disk says of their downloads. */
  readonly lists: () => Promise<readonly ListReport[]>;
  /** Told of what fails in looking, which is a bug or the disk. */
  readonly report: (kind: string, details: object) => void;
}

type State = HealthItem["state"];

/** What is found of one thing, without regard to what was found before. */
interface Finding {
  readonly kind: HealthItem["kind"];
  readonly name: string;
  readonly state: State;
  readonly said: Said;
}

/** How often everything is looked at. */
const LOOK_MS = 2_000;

/** How often lists are looked at, of which the disk is asked. */
const LISTS_MS = 15_000;

/** A server may be silent so long before anybody is told: a lost connection mends itself. */
const SILENT_MS = 60_000;

/** What was not well must be well so long before it is called so. */
const WELL_MS = 30_000;

/** The item of the router's own settings, beside that of its address lists. */
const DRIFT = "settings";

const DAY_MS = 86_400_000;

/** A list is old when so many refreshes should have come since it was last known to be the newest. */
const MISSED_REFRESHES = 3;

/** Worst first. */
const SEVERITY: readonly State[] = ["bad", "care", "unknown", "well"];

/** Looks at the server again and again, and says since when each part of it is well or not. Nothing here is on the way of a query. */
export class HealthWatch {
  readonly #parts: HealthWatchParts;
  readonly #items = new Map<string, WatchedItem>();
  /** When each server fell silent, by group and server, on the scale of `Clock.now`. */
  readonly #silentSince = new Map<string, number>();
  readonly #listeners = new Set<(health: Health) => void>();
  #expectations: { readonly of: Policy; readonly found: readonly Finding[] } | null = null;
  #lists: readonly Finding[] = [];
  #listsOf: Policy | null = null;
  #listsDueMs = Number.NEGATIVE_INFINITY;
  #health: Health;
  #timer: Timer;
  #closed = false;

  constructor(parts: HealthWatchParts) {
    this.#parts = parts;
    this.#health = { state: "unknown", since: timeText(parts.clock.wallMs()), items: [] };
    this.#timer = this.#schedule();
    this.#look();
  }

  /** As of now. */
  read(): Health {
    this.#look();
    return this.#health;
  }

  /** Asks the disk of the lists now: somebody has just refreshed one. */
  async lookAtLists(): Promise<void> {
    await this.#readLists();
    this.#look();
  }

  /** Calls the listener with every change. @returns what ends it. */
  follow(listener: (health: Health) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    this.#timer.cancel();
  }

  #schedule(): Timer {
    return this.#parts.clock.setTimer(() => {
      this.#look();
      if (!this.#closed) this.#timer = this.#schedule();
    }, LOOK_MS);
  }

  #look(): void {
    const vitals = this.#parts.vitals();
    const nowMs = this.#parts.clock.now();
    this.#refreshLists(vitals, nowMs);
    const findings = [
      ...vitals.groups.map((group) => this.#groupFinding(group, nowMs)),
      ...this.#lists,
      ...certificateFindings(vitals.certificate, this.#parts.clock.wallMs()),
      ...this.#expectationFindings(vitals),
      ...routerFindings(vitals.router),
      ...driftFindings(vitals.drift),
      logFinding(vitals.log),
      ...vitals.pauses.map(pauseFinding),
    ];
    const before = this.#health;
    this.#health = this.#healthOf(findings, nowMs);
    if (JSON.stringify(before) === JSON.stringify(this.#health)) return;
    for (const listener of this.#listeners) listener(this.#health);
  }

  #healthOf(findings: readonly Finding[], nowMs: number): Health {
    const now = { ms: nowMs, text: timeText(this.#parts.clock.wallMs()) };
    const keys = new Set(findings.map(keyOf));
    for (const key of this.#items.keys()) if (!keys.has(key)) this.#items.delete(key);
    const items = findings.map((finding) => {
      const item = nextItem(this.#items.get(keyOf(finding)) ?? null, finding, now);
      this.#items.set(keyOf(finding), item);
      return item.shown;
    });
    items.sort((one, other) => SEVERITY.indexOf(one.state) - SEVERITY.indexOf(other.state));
    const state = items[0]?.state ?? "unknown";
    return { state, since: state === this.#health.state ? this.#health.since : now.text, items };
  }

  #groupFinding({ name, members, healthy }: GroupStatus, nowMs: number): Finding {
    const silent = members.filter((member) => {
      const key = JSON.stringify([name, member.label]);
      if (member.healthy) this.#silentSince.delete(key);
      else if (!this.#silentSince.has(key)) this.#silentSince.set(key, nowMs);
      return !member.healthy && nowMs - (this.#silentSince.get(key) ?? nowMs) >= SILENT_MS;
    });
    const finding = { kind: "group", name } as const;
    if (!healthy) return { ...finding, state: "bad", said: say("health.groupDown", { group: name }) };
    if (silent.length > 0) {
      const servers = silent.map(({ label }) => label).join(", ");
      const counts = { silent: silent.length, all: members.length };
      return { ...finding, state: "care", said: say("health.serversSilent", { group: name, servers, ...counts }) };
    }
    const latencies = members.flatMap((member) => (member.healthy && member.latencyMs !== null ? [member.latencyMs] : []));
    if (latencies.length === 0) return { ...finding, state: "unknown", said: say("health.groupNotAsked", { group: name }) };
    // Rounded so that a value that moves with each answer is no change.
    const ms = Number(Math.min(...latencies).toPrecision(1));
    return { ...finding, state: "well", said: say("health.groupAnswers", { group: name, ms }) };
  }

  /** The disk is asked in the background; the next look shows what it says. */
  #refreshLists({ policy }: Vitals, nowMs: number): void {
    if (policy === this.#listsOf && nowMs < this.#listsDueMs) return;
    this.#listsOf = policy;
    this.#listsDueMs = nowMs + LISTS_MS;
    void this.#readLists();
  }

  async #readLists(): Promise<void> {
    const { lists, vitals, clock, report } = this.#parts;
    try {
      const reports = await lists();
      this.#lists = reports.map((each) => listFinding(each, vitals().config, clock.wallMs()));
    } catch (error) {
      report("the lists could not be looked at", { reason: errorText(error) });
    }
  }

  #expectationFindings({ config, policy }: Vitals): readonly Finding[] {
    if (this.#expectations?.of !== policy) this.#expectations = { of: policy, found: expectationFindings(config, policy) };
    return this.#expectations.found;
  }
}

interface WatchedItem {
  readonly shown: HealthItem;
  /** Since when it is found well, while it is not shown so yet; on the scale of `Clock.now`. */
  readonly wellSinceMs: number | null;
}

interface Now {
  readonly ms: number;
  readonly text: string;
}

function nextItem(before: WatchedItem | null, finding: Finding, now: Now): WatchedItem {
  const wasTroubled = before !== null && (before.shown.state === "care" || before.shown.state === "bad");
  if (!wasTroubled || finding.state !== "well") return { shown: itemOf(before, finding, now), wellSinceMs: null };
  const wellSinceMs = before.wellSinceMs ?? now.ms;
  if (now.ms - wellSinceMs >= WELL_MS) return { shown: itemOf(before, finding, now), wellSinceMs: null };
  const recovering = { ...finding, state: "care", said: say("health.wellAgainSoon", { name: finding.name }) } as const;
  return { shown: itemOf(before, recovering, now), wellSinceMs };
}

function itemOf(before: WatchedItem | null, { kind, name, state, said }: Finding, now: Now): HealthItem {
  const isTrouble = state === "care" || state === "bad";
  const since = before?.shown.state === state ? before.shown.since : now.text;
  return { kind, name, state, said, since, problem: isTrouble && kind !== "pause" ? standingId(kind, name) : null };
}

/** The id of the problem that stands for an item which is not well. */
function standingId(kind: HealthItem["kind"], name: string): string {
  return `v1|${kind}|${name}|`;
}

function keyOf({ kind, name }: Pick<Finding, "kind" | "name">): string {
  return `${kind} ${name}`;
}

function listFinding(report: ListReport, { lists, access }: Config, nowWallMs: number): Finding {
  const { name, size, sources } = listView(report, access);
  const finding = { kind: "list", name } as const;
  const reason = sources.find(({ problem }) => problem !== null)?.problem ?? null;
  if (size === 0) return { ...finding, state: "bad", said: say("health.listEmpty", { list: name, reason: reason ?? "" }) };
  const held = sources.find(({ downloadProblem }) => downloadProblem?.held === true)?.downloadProblem;
  if (held != null) return { ...finding, state: "care", said: say("health.listHeld", { list: name, reason: held.reason }) };
  if (reason !== null) return { ...finding, state: "care", said: say("health.listProblem", { list: name, reason }) };
  const failing = failingDownload(report);
  const refreshMs = lists.find((list) => list.name === name)?.refreshMs ?? null;
  const checked = report.sources.flatMap(({ checkedWallMs }) => checkedWallMs ?? []);
  const oldest = Math.min(...checked);
  if (refreshMs !== null && checked.length > 0 && nowWallMs - oldest > MISSED_REFRESHES * refreshMs) {
    const values = { list: name, checked: timeText(oldest), refresh: formatDuration(refreshMs) };
    return { ...finding, state: "care", said: say("health.listOld", values) };
  }
  if (failing !== null) {
    const values = { list: name, size, reason: failing.reason };
    // What was never downloaded is no list that somebody chose; a good copy may miss some tries.
    if (failing.servedFrom !== "copy") return { ...finding, state: "care", said: say("health.listNeverDownloaded", values) };
    const isLong = nowWallMs - failing.sinceWallMs > (refreshMs ?? DAY_MS);
    return { ...finding, state: isLong ? "care" : "well", said: say("health.listNotRenewed", values) };
  }
  return { ...finding, state: "well", said: say("health.listWell", { list: name, size }) };
}

/** The first source of a list that cannot be downloaded; held versions are another matter. */
function failingDownload({ sources }: ListReport) {
  for (const { downloadProblem, servedFrom } of sources)
    if (downloadProblem !== null && !downloadProblem.held) return { ...downloadProblem, servedFrom };
  return null;
}

function certificateFindings(certificate: CertificateStatus | null, nowWallMs: number): readonly Finding[] {
  if (certificate === null) return [];
  const { expiresWallMs, isLate, refusal } = certificate;
  const day = utcDay(expiresWallMs);
  const finding = { kind: "certificate", name: "" } as const;
  if (expiresWallMs <= nowWallMs) return [{ ...finding, state: "bad", said: say("health.certificateExpired", { day }) }];
  if (refusal !== null) return [{ ...finding, state: "bad", said: say("health.certificateRefused", { reason: refusal }) }];
  if (isLate) return [{ ...finding, state: "care", said: say("health.certificateLate", { day }) }];
  return [{ ...finding, state: "well", said: say("health.certificateWell", { day }) }];
}

function expectationFindings({ expect }: Config, { decider }: Policy): readonly Finding[] {
  if (expect.length === 0) return [];
  const failures = checkExpectations(decider, expect);
  const finding = { kind: "expectations", name: "" } as const;
  const [first] = failures;
  if (first === undefined) return [{ ...finding, state: "well", said: say("health.expectationsHold", { total: expect.length }) }];
  const values = { broken: failures.length, total: expect.length, reason: first.message };
  return [{ ...finding, state: "care", said: say("health.expectationsBroken", values) }];
}

/** Names are answered without the router, but what goes by its lists goes another way. */
function routerFindings(router: Vitals["router"]): readonly Finding[] {
  if (router === null) return [];
  const finding = { kind: "router", name: "" } as const;
  if (router.problem === null) return [{ ...finding, state: "well", said: say("health.routerTakes", {}) }];
  return [{ ...finding, state: "care", said: say("health.routerAway", { reason: router.problem }) }];
}

/** A router that cannot be looked at may be well: whoever cares for it should know. */
function driftFindings(drift: RouterDrift | null): readonly Finding[] {
  if (drift === null) return [];
  const finding = { kind: "router", name: DRIFT } as const;
  const { reason, findings, first, atWallMs } = drift;
  if (reason !== null) return [{ ...finding, state: "unknown", said: say("health.routerUnchecked", { reason }) }];
  if (first === null) return [{ ...finding, state: "well", said: say("health.routerWell", { checked: timeText(atWallMs) }) }];
  return [{ ...finding, state: "care", said: say("health.routerDrifted", { found: findings, first }) }];
}

function pauseFinding({ id, rules, client, untilWallMs }: RulePause): Finding {
  const values = { rules: rules.length === 0 ? "*" : rules.join(", "), until: timeText(untilWallMs) };
  const said = client === null ? say("health.pause", values) : say("health.pauseForClient", { ...values, client });
  return { kind: "pause", name: id, state: "care", said };
}

function logFinding({ state, fault }: LogStatus): Finding {
  const finding = { kind: "log", name: "" } as const;
  if (state === "off") return { ...finding, state: "well", said: say("health.logOff", {}) };
  if (fault !== null) return { ...finding, state: "bad", said: say("health.logFailing", { reason: fault.reason }) };
  return { ...finding, state: "well", said: say("health.logWell", {}) };
}
