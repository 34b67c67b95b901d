import {
  type Control,
  ControlError,
  type EditRequest,
  type ExplainedQuestion,
  type ExplainRequest,
  type ExplainUnder,
  type HostRecordInput,
  type PauseRequest,
  type ProblemsRequest,
  type ProblemWord,
  type QuerySource,
  type RouterScriptRequest,
  type StateChange,
  type WhatIfRequest,
} from "../../../src/admin/control.ts";
import type { AppliedEdit, ConfigDiff, ConfigFile, EditPreview, HistoryEntry, Pause } from "../../../src/admin/schemas/edits.ts";
import type { Health, Trouble, TroublePage } from "../../../src/admin/schemas/health.ts";
import type { CachedAnswer, Explained } from "../../../src/admin/schemas/record.ts";
import type { RouterCheck } from "../../../src/admin/schemas/router.ts";
import type {
  ConfigView,
  DeviceView,
  HostView,
  ListLines,
  ListView,
  Readiness,
  RouterView,
  UpstreamGroup,
  VersionView,
  WhatIf,
} from "../../../src/admin/schemas/views.ts";
import type { AddressUpdate, AddressUpdateReply } from "../../../src/ddns/options.ts";
import { say } from "../../../src/lib/said.ts";
import { type ExportFormat, exportText } from "../../../src/log/export.ts";
import type { Page, PageRequest, QueryFilter } from "../../../src/log/filter.ts";
import { compileFilter } from "../../../src/log/filter-tests.ts";
import { encodeRecord, Followers, LiveFilters, type LiveListener } from "../../../src/log/followers.ts";
import type { LogStatus, QueryRecord, RecordText } from "../../../src/log/record.ts";
import type { Volume, VolumeRequest } from "../../../src/log/search.ts";
import type { Summary, SummaryRequest } from "../../../src/log/summary.ts";

/** A log in memory: added records can be searched, and are sent to followers. */
export class MemoryLog implements QuerySource {
  readonly records: QueryRecord[] = [];
  readonly followers = new Followers();
  readonly #filters = new LiveFilters();
  /** The error of every search; null = searches succeed. */
  fault: Error | null = null;

  add(...records: readonly QueryRecord[]): void {
    this.records.push(...records);
    this.followers.deliver(this.#filters.eventsFor(this.followers.list(), records, 0));
  }

  /** Number of readers of the live stream. */
  get readers(): number {
    return this.followers.size;
  }

  async search({ filter, limit, cursor }: PageRequest): Promise<Page<RecordText>> {
    if (cursor !== null && !/^[0-9]+$/.test(cursor)) throw new ControlError("invalid", "the cursor is none of ours");
    const found = this.#found(filter).filter(({ id }) => cursor === null || id < Number(cursor));
    const records = found.slice(0, limit);
    return { records: records.map(encodeRecord), cursor: found.length > limit ? String(records.at(-1)?.id) : null };
  }

  async get(id: number): Promise<QueryRecord | null> {
    if (this.fault !== null) throw this.fault;
    return this.records.find((record) => record.id === id) ?? null;
  }

  async *read(filter: QueryFilter, format: ExportFormat, signal: AbortSignal): AsyncIterable<string> {
    const found = this.#found(filter);
    for (let start = 0; start < found.length && !signal.aborted; start += 100)
      yield exportText(format, found.slice(start, start + 100));
  }

  follow(filter: QueryFilter, listener: LiveListener, perSecond?: number): () => void {
    return this.followers.add(filter, listener, perSecond);
  }

  async summary({ fromMs, toMs, stepMs }: Omit<SummaryRequest, "sideOf">): Promise<Summary> {
    if (this.fault !== null) throw this.fault;
    const total = this.records.length;
    return {
      fromMs,
      toMs,
      stepMs,
      total,
      bySource: { upstream: total },
      byRcode: { NOERROR: total },
      byType: {},
      byAction: {},
      byTransport: {},
      topNames: [{ key: "www.example.com", count: total }],
      topBlocked: [],
      topFailing: [],
      topClients: [],
      topRules: [],
      topUpstreams: [],
      latencyUs: { p50: 900, p90: 2000.5, p99: 40_000 },
      upstreamLatencyUs: null,
      series: [{ atMs: fromMs, total, blocked: 0, cached: 0, failed: 0, outcomes: OUTCOMES, p50Us: 900, p99Us: 40_000 }],
      gaps: [{ fromMs, toMs: fromMs + 60_000, lost: 3 }],
    };
  }

  async volume({ filter, stepMs }: VolumeRequest): Promise<Volume> {
    const total = this.#found(filter).length;
    return { fromMs: filter.fromMs, stepMs, samples: [{ total, failed: 0 }], gaps: [], countedFromMs: filter.fromMs };
  }

  status(): LogStatus {
    const fault = this.fault === null ? null : { reason: this.fault.message, sinceWallMs: 1_000 };
    const rows = this.records.length;
    return {
      state: fault === null ? "well" : "failing",
      fault,
      stored: rows,
      dropped: 0,
      waiting: 0,
      rows,
      bytes: rows * 80,
      oldestWallMs: null,
    };
  }

  /** Newest first. */
  #found(filter: QueryFilter): readonly QueryRecord[] {
    if (this.fault !== null) throw this.fault;
    const { fromMs, toMs } = filter;
    const inTime = ({ id }: QueryRecord) => (fromMs === null || id >= fromMs * 1024) && (toMs === null || id < toMs * 1024);
    const fits = compileFilter(filter);
    return this.records.filter((record) => inTime(record) && fits(record)).sort((one, other) => other.id - one.id);
  }
}

const OUTCOMES = { cache: 0, local: 0, rule: 0, near: 1, far: 0, stale: 0, failed: 0, refused: 0 };

const SINCE = "2026-11-21T20:00:00.000Z";

/** A server in memory with one list, one group, one host and so on. */
export class MemoryControl implements Control {
  readonly queries: MemoryLog;
  readonly #listeners = new Set<(change: StateChange) => void>();
  readonly #hosts = new Map<string, HostView>();
  readonly #cached = new Map([["www.example.com", [CACHED]]]);
  readinessNow: Readiness = { ready: true, problems: [] };
  /** The error of every call; null = calls succeed. */
  fault: Error | null = null;

  constructor(queries = new MemoryLog()) {
    this.queries = queries;
    void this.putHost("nas.lan", { address: "10.0.0.5" });
  }

  async explain({ name, type, client, clientId, resolve, version }: ExplainRequest): Promise<Explained> {
    this.#check();
    checkName(name);
    if (version !== null && version !== "v1") throw new ControlError("missing", `version ${version} is not kept`);
    const question = { name, type, client: client ?? "127.0.0.1", clientId };
    const outcome = {
      rcode: "NOERROR",
      source: "upstream",
      action: "none",
      answers: ["60 A 192.0.2.7"],
      negativeTtl: null,
      ede: [],
      edits: [],
      attempts: [ATTEMPT],
      durationUs: 5000,
    };
    return { ...EXPLAINED, question, target: { ...EXPLAINED, question, target: null }, outcome: resolve ? outcome : null };
  }

  explainUnder(question: ExplainedQuestion, under: ExplainUnder): Promise<Explained> {
    return this.explain({ ...question, resolve: false, version: "version" in under ? under.version : null });
  }

  follow(listener: (change: StateChange) => void): () => void {
    this.#check();
    this.#listeners.add(listener);
    listener({ topic: "health", data: this.health() });
    listener({ topic: "problems", data: { revision: 1 } });
    listener({ topic: "config", data: { version: "v2", pauses: [PAUSE] } });
    return () => void this.#listeners.delete(listener);
  }

  get followers(): number {
    return this.#listeners.size;
  }

  /** Tells everybody who follows. */
  tell(change: StateChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  async whatIf({ config, fromMs, toMs, examples }: WhatIfRequest): Promise<WhatIf> {
    this.#check();
    if (config === "") throw new ControlError("invalid", "the draft is empty", "and there is nothing in it");
    if (!(fromMs < toMs)) throw new Error("no period");
    const outcome = { rule: "split", route: "domestic", answer: null, action: "none" };
    const names = [{ name: "www.example.com", type: "A", queries: 3 }].slice(0, examples);
    return {
      queries: 4,
      changed: 3,
      truncated: false,
      notes: [],
      changes: [{ before: outcome, after: { ...outcome, route: "overseas" }, queries: 3, names }],
    };
  }

  health(): Health {
    this.#check();
    const said = say("health.groupAnswers", { group: "overseas", ms: 12 });
    return {
      state: "well",
      since: SINCE,
      items: [{ kind: "group", name: "overseas", state: "well", said, since: SINCE, problem: null }],
    };
  }

  async problems({ limit }: ProblemsRequest): Promise<TroublePage> {
    this.#check();
    return { problems: [TROUBLE].slice(0, limit), cursor: null, searched: { queries: 4, complete: true } };
  }

  async changeProblem(id: string, { state, untilMs }: ProblemWord): Promise<Trouble> {
    this.#check();
    if (id !== TROUBLE.id) throw new ControlError("missing", `there is no problem ${id}`);
    return { ...TROUBLE, state, mutedUntil: untilMs === null ? null : SINCE };
  }

  pauses(): readonly Pause[] {
    this.#check();
    return [PAUSE];
  }

  async pause({ rules, client }: PauseRequest): Promise<Pause> {
    this.#check();
    return { ...PAUSE, rules, client };
  }

  async endPause(id: string): Promise<boolean> {
    this.#check();
    return id === PAUSE.id;
  }

  async configFile(): Promise<ConfigFile> {
    this.#check();
    return { path: "/etc/fenliu.yaml", digest: "7f3a91c2d0e4", text: "rules: []\n", inForce: true };
  }

  async previewEdit({ base }: EditRequest): Promise<EditPreview> {
    this.#check();
    if (base !== "7f3a91c2d0e4") throw new ControlError("refused", "the file was changed meanwhile");
    return PREVIEW;
  }

  editTicket(ticket: string): EditPreview {
    this.#check();
    if (ticket !== PREVIEW.ticket) throw new ControlError("missing", "there is no such ticket");
    return PREVIEW;
  }

  async applyEdit(ticket: string): Promise<AppliedEdit> {
    this.editTicket(ticket);
    return { version: "7f3a91c2d0e4", previous: "0c41b2aa97d3" };
  }

  async putConfigFile(_: string, base: string): Promise<AppliedEdit> {
    return this.restoreConfig(base, base);
  }

  async restoreConfig(_: string, base: string): Promise<AppliedEdit> {
    this.#check();
    if (base !== "7f3a91c2d0e4") throw new ControlError("refused", "the file was changed meanwhile");
    return { version: "7f3a91c2d0e4", previous: "0c41b2aa97d3" };
  }

  async history(): Promise<readonly HistoryEntry[]> {
    this.#check();
    const entry = { version: "7f3a91c2d0e4", since: SINCE, until: null, current: true, changedLines: 2 };
    return [{ ...entry, policies: ["v1"], lists: [{ name: "cn", size: 5 }] }];
  }

  async historyDiff(before: string): Promise<ConfigDiff> {
    this.#check();
    if (!/^[0-9a-f]{12}$/.test(before)) throw new ControlError("missing", `configuration ${before} is not kept`);
    return {
      lines: [{ kind: "added", before: null, after: 1, text: "rules: []" }],
      lists: [{ name: "cn", before: null, after: 5 }],
    };
  }

  upstreams(): readonly UpstreamGroup[] {
    this.#check();
    const lastFailure = { reason: "timeout", time: SINCE };
    const member = { server: "tls://8.8.8.8", well: true, latencyMs: 12.5, questions: 10, failures: 1, lastFailure, inFlight: 0 };
    return [
      {
        name: "overseas",
        strategy: "failover",
        side: "far",
        fallback: null,
        well: true,
        inFlight: 0,
        breaches: 2,
        members: [member, { ...member, latencyMs: null, lastFailure: null }],
      },
    ];
  }

  async lists(): Promise<readonly ListView[]> {
    this.#check();
    return [LIST];
  }

  async listLines(name: string, source: string, around: number): Promise<ListLines> {
    this.#check();
    if (name !== LIST.name) throw new ControlError("missing", `there is no list ${name}`);
    return { list: name, source, lines: [{ number: around, text: "taobao.com" }] };
  }

  async refreshList(name: string): Promise<ListView> {
    this.#check();
    if (name === "broken") throw new ControlError("failed", "https://lists.example/broken: 500");
    if (name !== LIST.name) throw new ControlError("missing", `there is no list ${name}`);
    return LIST;
  }

  cached(name: string): readonly CachedAnswer[] {
    this.#check();
    checkName(name);
    return this.#cached.get(name) ?? [];
  }

  cacheStats() {
    this.#check();
    const segment = { entries: 1, bytes: 80, budgetBytes: 64 * 1024 * 1024, hits: 3, evictions: 0 };
    return { hits: 3, misses: 1, positive: segment, negative: segment };
  }

  flush(name: string, subtree: boolean): number {
    this.#check();
    checkName(name);
    const gone = [...this.#cached.keys()].filter((held) => held === name || (subtree && held.endsWith(`.${name}`)));
    return gone.map((held) => this.#cached.delete(held)).length;
  }

  hosts(): readonly HostView[] {
    this.#check();
    return [...this.#hosts.values()];
  }

  host(name: string): HostView | null {
    this.#check();
    checkName(name);
    return this.#hosts.get(name) ?? null;
  }

  async putHost(name: string, { address = [], cname, others = "nodata", https }: HostRecordInput): Promise<HostView> {
    this.#check();
    checkName(name);
    const addresses = [address].flat();
    if (addresses.length === 0 && cname === undefined) throw new ControlError("invalid", `${name} has neither address nor cname`);
    const view: HostView = {
      name,
      addresses,
      cname: cname ?? null,
      others,
      a: others,
      aaaa: others,
      https: https === undefined ? null : { alpn: https.alpn ?? [], port: https.port ?? null },
      source: "data/hosts.yaml",
      line: 1,
      own: true,
      hidden: false,
    };
    this.#hosts.set(name, view);
    return view;
  }

  async deleteHost(name: string): Promise<boolean> {
    this.#check();
    checkName(name);
    return this.#hosts.delete(name);
  }

  router(): RouterView | null {
    this.#check();
    const counts = { added: 3, refreshed: 1, present: 0, failed: 0, dropped: 0, held: 2, late: 1 };
    return { dryRun: false, problem: null, queued: 0, counts, lists: [{ list: "WORLD", rules: ["split"], entries: 3 }] };
  }

  devices(): readonly DeviceView[] {
    this.#check();
    return [{ address: "10.0.0.7", name: "tv", mac: "aa:bb:cc:dd:ee:ff", source: "router" }];
  }

  async updateAddress({ query, authorization }: AddressUpdate): Promise<AddressUpdateReply | null> {
    this.#check();
    if (query.includes("nobody")) return null;
    return authorization === undefined && query.length % 2 === 1
      ? { status: 401, text: "badauth\n" }
      : { status: 200, text: "good 192.0.2.7\n" };
  }

  config(): ConfigView {
    this.#check();
    return {
      path: "/etc/fenliu.yaml",
      version: "v2",
      since: SINCE,
      config: { admin: { token: "***" }, rules: [{ name: "split" }] },
    };
  }

  async checkConfig(text: string) {
    this.#check();
    const problem = { message: "this is no list", key: "rules", fix: "write a list", line: 1, column: null };
    return text.includes("rules: 5")
      ? { ok: false, problems: [problem], warnings: [] }
      : { ok: true, problems: [], warnings: [{ ...problem, line: null }] };
  }

  async reload(): Promise<ConfigView> {
    this.#check();
    return this.config();
  }

  async versions(): Promise<readonly VersionView[]> {
    this.#check();
    return [{ version: "v2", since: SINCE, lists: [{ name: "cn", size: 5 }], missing: [] }];
  }

  readiness(): Readiness {
    this.#check();
    return this.readinessNow;
  }

  async metrics(): Promise<string> {
    this.#check();
    return "# TYPE fenliu_queries_total counter\nfenliu_queries_total 5\n";
  }

  async routerosScript({ baseUrl }: RouterScriptRequest): Promise<string> {
    this.#check();
    return `/ip dns set use-doh-server="${httpsUrl(baseUrl).href}"\n`;
  }

  async checkRouter(): Promise<RouterCheck> {
    this.#check();
    const [menu, field, seen, wanted] = ["ip/dns", "vrf", "wan", "main"];
    const otherwise = say("router.vrf", { host: "doh.example.com", seen });
    const command = "/ip dns set vrf=main";
    const finding = { number: 22, id: "vrf", menu, field, seen, wanted, otherwise, command };
    return { version: "7.22.1 (stable)", checked: SINCE, findings: [finding], notes: [], fix: `${command}\n` };
  }

  appleProfile(baseUrl: string): string {
    this.#check();
    return `<plist><string>${httpsUrl(baseUrl).href}</string></plist>\n`;
  }

  #check(): void {
    if (this.fault !== null) throw this.fault;
  }
}

function checkName(name: string): void {
  if (!/^[\x21-\x7e]{1,255}$/.test(name)) throw new ControlError("invalid", `${JSON.stringify(name)} is no name`);
}

function httpsUrl(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol !== "https:") throw new ControlError("invalid", `${JSON.stringify(text)} is no https URL`);
  return url;
}

const ATTEMPT = {
  group: "domestic",
  server: "223.5.5.5",
  transport: "udp",
  startMs: 0,
  ms: 4.5,
  rcode: "NOERROR",
  failure: null,
} as const;

const CACHED: CachedAnswer = {
  name: "www.example.com",
  type: "A",
  route: "domestic",
  dnssecOk: false,
  checkingDisabled: false,
  subnet: null,
  outcome: "positive",
  rcode: "NOERROR",
  answers: ["60 A 192.0.2.7"],
  ageSeconds: 5,
  remainingSeconds: -3,
  hits: 2,
  volatile: false,
  made: false,
  bytes: 61,
};

const EXPLAINED: Explained = {
  question: { name: "www.example.com", type: "A", client: "127.0.0.1", clientId: null },
  version: "v2",
  decision: {
    kind: "compare",
    rule: "others",
    route: null,
    near: "domestic",
    far: "overseas",
    first: "near",
    answer: null,
    action: "none",
    settings: { ipv6: "nodata", ttl: { min: "0s" } },
  },
  trace: [
    { kind: "hosts", pattern: "*.lan", source: "fenliu.yaml", line: 3 },
    { kind: "special", zone: "lan" },
    {
      kind: "rule",
      rule: "split",
      outcome: "decides",
      match: { list: "cn", source: "rules/cn-domains.txt", line: 12, pattern: "example.com" },
    },
    { kind: "rule", rule: "ads", outcome: "domains", match: null },
    { kind: "kept", because: { rule: "ads" } },
    { kind: "kept", because: "hosts" },
    { kind: "first-group", group: "domestic" },
  ],
  cache: [CACHED],
  verdict: { side: "near", near: "kept", type: "A", ageSeconds: 60 },
  target: null,
  summary: [say("explain.compares", { rule: "others", near: "domestic", far: "overseas" })],
  notes: [say("note.pastVersion", {})],
  outcome: null,
};

const PAUSE: Pause = { id: "2f9k3x1", rules: ["ads"], client: "10.0.7.12", until: SINCE };

const PREVIEW: EditPreview = {
  diff: [{ kind: "added", before: null, after: 1, text: "rules: []" }],
  check: { ok: true, problems: [], warnings: [] },
  expect: { held: 1, total: 2, broken: [say("edit.broken", { reason: "page.example A: expected rule split" })] },
  whatIf: null,
  whatIfDone: true,
  ticket: "gkY0b2ZQwzX1c3Vr",
};

const TROUBLE: Trouble = {
  id: "v1|group|overseas|",
  cause: "standing",
  suffix: "",
  culprit: { kind: "group", name: "overseas", list: null, line: null },
  state: "open",
  mutedUntil: null,
  why: say("health.groupDown", { group: "overseas" }),
  firstSeen: SINCE,
  lastSeen: SINCE,
  queries: 3,
  names: [{ key: "www.example.com", count: 3 }],
  nameCount: 1,
  clients: [{ key: "tv", count: 3 }],
  clientCount: 1,
  series: Array.from({ length: 24 }, () => 0),
  shared: [{ field: "client", value: "tv", share: 1, usual: 0.06 }],
  began: { version: "7f3a91c2d0e4", secondsBefore: 120, changedLines: 2, list: null },
  newest: 5,
  fixes: [
    {
      id: "except",
      kind: "edit",
      title: say("fix.except", { name: "www.example.com", rule: "ads" }),
      edit: { kind: "pattern", rule: "ads", pattern: "!www.example.com" },
    },
  ],
};

const LIST: ListView = {
  name: "cn",
  kind: "domains",
  size: 5,
  sources: [
    {
      source: "https://lists.example/cn.txt",
      servedFrom: "copy",
      entries: 5,
      bytes: 90,
      sha256: "00ff",
      changed: SINCE,
      checked: null,
      problem: null,
      downloadProblem: { reason: "503", held: false, since: SINCE },
      warningCount: 1,
      warnings: [{ line: 2, reason: "no name" }],
    },
  ],
};
