import { parse } from "yaml";
import { ControlError, ParameterError, type ProblemsRequest, type ProblemWord } from "../admin/control.ts";
import type { Health, HealthItem, ProblemFix, Trouble, TroublePage } from "../admin/schemas/health.ts";
import type { Config } from "../config/types.ts";
import type { Clock } from "../lib/clock.ts";
import { type Said, say } from "../lib/said.ts";
import type { FoundProblem, ProblemChange } from "../log/problems.ts";
import { timeText } from "./views.ts";

/** A configuration that came into force, or one whose list got other content. */
export interface ConfigChange {
  readonly version: string;
  readonly sinceWallMs: number;
  readonly changedLines: number;
  /** null = the text of the configuration was changed. */
  readonly list: string | null;
}

interface ProblemBookParts {
  readonly clock: Clock;
  readonly config: () => Config;
  readonly health: () => Health;
  readonly log: () => {
    problems(): Promise<readonly FoundProblem[]>;
    changeProblem(id: string, change: ProblemChange): Promise<boolean>;
    readonly problemRevision: number;
    status(): { readonly state: string; readonly stored: number; readonly dropped: number };
  };
  /** The last change before this time, other lists than the named one aside; null = there was none. */
  readonly changeBefore: (wallMs: number, list: string | null) => ConfigChange | null;
}

/** A change of the configuration or of a list so long before the first query is told as its beginning. */
const BEGAN_MS = 600_000;

/** Problems as the API shows them: those that the log's thread found, and a standing one for each part of the server that is not well. */
export class ProblemBook {
  readonly #parts: ProblemBookParts;
  /** Until when standing problems are muted, in milliseconds since 1970. */
  readonly #muted = new Map<string, number>();
  #changes = 0;
  #finder: { readonly of: Config; readonly finder: FixFinder } | null = null;

  constructor(parts: ProblemBookParts) {
    this.#parts = parts;
  }

  /** Another number when a problem has changed; those that stand for health change with that. */
  get revision(): number {
    return this.#parts.log().problemRevision + this.#changes;
  }

  async list({ state, client, limit, cursor }: ProblemsRequest): Promise<TroublePage> {
    const start = cursor === null ? 0 : Number(cursor);
    if (!Number.isSafeInteger(start))
      throw new ParameterError({
        parameter: "cursor",
        reason: "the cursor is none that a page gave: give that of the page before, or none",
      });
    const fitting = (await this.#all()).filter(
      (each) => (state === null || each.state === state) && (client === null || each.clients.some(({ key }) => key === client)),
    );
    const end = start + limit;
    const { stored, dropped, state: log } = this.#parts.log().status();
    return {
      problems: fitting.slice(start, end),
      cursor: end < fitting.length ? String(end) : null,
      searched: { queries: stored, complete: log === "well" && dropped === 0 },
    };
  }

  async change(id: string, { state, untilMs }: ProblemWord): Promise<Trouble> {
    const nowMs = this.#parts.clock.wallMs();
    const mutedUntilMs = untilMs ?? nowMs;
    this.#changes++;
    if (this.#standing().some((each) => each.id === id)) {
      if (state === "muted") this.#muted.set(id, mutedUntilMs);
      else this.#muted.delete(id);
    } else {
      const change: ProblemChange =
        state === "muted" ? { state, untilMs: mutedUntilMs } : state === "fixed" ? { state, atMs: nowMs } : { state };
      if (!(await this.#parts.log().changeProblem(id, change))) throw missing(id);
    }
    const found = (await this.#all()).find((each) => each.id === id);
    if (found === undefined) throw missing(id);
    return found;
  }

  /** A configuration that was in force until then is so again: what was fixed since is not. */
  async reopenFixedSince(sinceMs: number): Promise<void> {
    this.#changes++;
    const log = this.#parts.log();
    if (log.status().state === "off") return;
    for (const { id, fixedAtMs } of await log.problems())
      if (fixedAtMs !== null && fixedAtMs >= sinceMs) await log.changeProblem(id, { state: "open" });
  }

  async #all(): Promise<readonly Trouble[]> {
    const isRecording = this.#parts.log().status().state !== "off";
    const found = isRecording ? await this.#parts.log().problems() : [];
    const fixes = this.#fixes();
    return [...this.#standing(), ...found.map((problem) => this.#view(problem, fixes))];
  }

  /** One for each configuration: parsing a large text takes long, and pages ask often. */
  #fixes(): FixFinder {
    const config = this.#parts.config();
    if (this.#finder?.of !== config) this.#finder = { of: config, finder: new FixFinder(config) };
    return this.#finder.finder;
  }

  #view(problem: FoundProblem, fixes: FixFinder): Trouble {
    const { firstMs, lastMs, mutedUntilMs, fixedAtMs: _fixed, type: _type, route: _route, ...same } = problem;
    const change = this.#parts.changeBefore(firstMs, problem.culprit.list);
    const beforeMs = change === null ? Number.POSITIVE_INFINITY : firstMs - change.sinceWallMs;
    return {
      ...same,
      why: whyOf(problem),
      firstSeen: timeText(firstMs),
      lastSeen: timeText(lastMs),
      mutedUntil: mutedUntilMs === null ? null : timeText(mutedUntilMs),
      began:
        change === null || beforeMs > BEGAN_MS
          ? null
          : {
              version: change.version,
              secondsBefore: Math.round(beforeMs / 1000),
              changedLines: change.changedLines,
              list: change.list,
            },
      fixes: fixes.of(problem),
    };
  }

  #standing(): readonly Trouble[] {
    const nowMs = this.#parts.clock.wallMs();
    const fixes = this.#fixes();
    return this.#parts.health().items.flatMap((item) => {
      if (item.problem === null || item.kind === "pause") return [];
      const untilMs = this.#muted.get(item.problem) ?? 0;
      return [
        standingProblem({ ...item, kind: item.kind, problem: item.problem }, untilMs > nowMs ? untilMs : null, { nowMs, fixes }),
      ];
    });
  }
}

function standingProblem(
  item: HealthItem & { readonly problem: string; readonly kind: Exclude<HealthItem["kind"], "pause"> },
  mutedUntilMs: number | null,
  { nowMs, fixes }: { readonly nowMs: number; readonly fixes: FixFinder },
): Trouble {
  const { kind, name, said, since, problem } = item;
  return {
    id: problem,
    cause: "standing",
    suffix: "",
    culprit: { kind, name, list: null, line: null },
    state: mutedUntilMs === null ? "open" : "muted",
    mutedUntil: mutedUntilMs === null ? null : timeText(mutedUntilMs),
    why: said,
    firstSeen: since,
    lastSeen: timeText(nowMs),
    queries: 0,
    names: [],
    nameCount: 0,
    clients: [],
    clientCount: 0,
    series: Array.from({ length: 24 }, () => 0),
    shared: [],
    began: null,
    newest: null,
    fixes: fixes.ofStanding(kind, name),
  };
}

function missing(id: string): ControlError {
  return new ControlError("missing", `there is no problem ${id}, or not any more`);
}

function whyOf({ cause, culprit }: FoundProblem): Said {
  const { name, list, line } = culprit;
  switch (cause) {
    case "never":
      return say("problem.never", { group: name });
    case "loop":
      return say("problem.loop", { group: name });
    case "rate":
      return say("problem.rate", { client: name });
    case "access":
      return say("problem.access", { client: name });
    case "fault":
      return say("problem.fault", {});
    case "unproven":
      return say("problem.unproven", { rule: name });
    case "emptied":
      return say("problem.emptied", { group: name });
    case "insisted":
      return list === null || line === null
        ? say("problem.insisted", { rule: name })
        : say("problem.insistedByList", { rule: name, list, line });
    case "vanished":
      return say("problem.vanished", { group: name });
    case "upstream:servfail":
      return say("problem.servfail", { group: name });
    default:
      return say("problem.upstream", { group: name, failure: cause.replace(/^upstream:/, "") });
  }
}

/** What may mend a problem under this configuration. Nothing is tried here: an edit is tried when it is asked for (`edits.ts`). */
class FixFinder {
  readonly #config: Config;
  /** The file as it is written: an edit goes by its notation. */
  readonly #written: Readonly<Record<string, unknown>>;

  constructor(config: Config) {
    this.#config = config;
    // The text has passed the parser before, so its aliases are bounded.
    this.#written = parse(config.text, { maxAliasCount: -1 }) ?? {};
  }

  of({ cause, culprit, suffix, clients, clientCount }: FoundProblem): ProblemFix[] {
    const rule = culprit.name;
    switch (cause) {
      case "insisted":
        return [
          ...this.#except(rule, suffix),
          pauseFix(rule, clientCount === 1 ? (clients[0]?.key ?? null) : null),
          fix("host", "host", say("fix.host", { name: suffix })),
        ];
      case "unproven":
        return this.#routeFar(rule, suffix);
      case "emptied":
      case "vanished":
        return suffix === "" ? [] : [fix("flush", "flush", say("fix.flush", { name: suffix }))];
      case "rate":
        return this.#exempt(rule);
      default:
        return cause.startsWith("upstream:") ? [...this.#routeNear(rule, suffix), ...this.#fallback(rule)] : [];
    }
  }

  ofStanding(kind: HealthItem["kind"], name: string): ProblemFix[] {
    if (kind === "list") return [fix("refresh", "refresh", say("fix.refresh", { list: name }))];
    if (kind === "router") return [fix("router", "router", say("fix.router", {}))];
    return kind === "group" ? this.#fallback(name) : [];
  }

  #except(rule: string, suffix: string): ProblemFix[] {
    const options = this.#config.rules.find(({ name }) => name === rule);
    if (options === undefined || options.domains.length === 0 || suffix === "") return [];
    const edit = { kind: "pattern", rule, pattern: `!${suffix}` } as const;
    return [fix("except", "edit", say("fix.except", { name: suffix, rule }), edit)];
  }

  /** The far side of a comparison is silent: the near one may be right for these names. */
  #routeNear(group: string, suffix: string): ProblemFix[] {
    const comparing = this.#config.rules.find(({ action }) => action?.kind === "compare" && action.compare.far === group);
    if (comparing?.action?.kind !== "compare") return [];
    return this.#route(suffix, comparing.name, comparing.action.compare.near);
  }

  #routeFar(rule: string, suffix: string): ProblemFix[] {
    const comparing = this.#config.rules.find(({ name }) => name === rule);
    return comparing?.action?.kind === "compare" ? this.#route(suffix, rule, comparing.action.compare.far) : [];
  }

  #route(suffix: string, before: string, group: string): ProblemFix[] {
    if (suffix === "") return [];
    const rule = { name: this.#freeName(suffix), domains: [suffix], upstream: group };
    return [fix("route", "edit", say("fix.route", { name: suffix, group }), { kind: "rule", before, rule })];
  }

  #freeName(suffix: string): string {
    const names = new Set(this.#config.rules.map(({ name }) => name));
    const base = suffix.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "names";
    for (let index = 1; ; index++) {
      const name = index === 1 ? base : `${base}-${index}`;
      if (!names.has(name)) return name;
    }
  }

  #fallback(group: string): ProblemFix[] {
    const { groups } = this.#config.upstreams;
    const failing = groups.find(({ name }) => name === group);
    const other = groups.find(({ name, fallback }) => name !== group && fallback !== group);
    const written = valueAt(this.#written, ["upstreams", group]);
    // A group that must never get some names stands for others that must not see them.
    if (failing === undefined || failing.fallback !== null || other === undefined || !isMap(written)) return [];
    const edit = { kind: "set", path: ["upstreams", group, "fallback"], value: other.name } as const;
    return [fix("fallback", "edit", say("fix.fallback", { fallback: other.name, group }), edit)];
  }

  #exempt(client: string): ProblemFix[] {
    const limit = valueAt(this.#written, ["access", "rateLimit"]);
    if (!isMap(limit)) return [];
    const exempt = [...(this.#config.access.rateLimit?.exempt ?? []), client];
    const edit = { kind: "set", path: ["access", "rateLimit", "exempt"], value: exempt } as const;
    return [fix("exempt", "edit", say("fix.exempt", { client }), edit)];
  }
}

function fix(id: string, kind: ProblemFix["kind"], title: Said, edit: ProblemFix["edit"] = null): ProblemFix {
  return { id, kind, title, edit };
}

function pauseFix(rule: string, client: string | null): ProblemFix {
  const title = client === null ? say("fix.pauseForAll", { rule }) : say("fix.pause", { rule, client });
  return fix("pause", "pause", title);
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce((at, key) => (isMap(at) ? at[key] : undefined), value);
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
