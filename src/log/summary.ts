/** What was asked in a period, from the roll-ups of the log, which are of whole minutes. */
export interface Summary {
  /** Milliseconds since 1970: whole minutes that hold what was wanted. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly total: number;
  readonly bySource: Readonly<Record<string, number>>;
  /** `none` = nothing was sent. */
  readonly byRcode: Readonly<Record<string, number>>;
  readonly byType: Readonly<Record<string, number>>;
  readonly byAction: Readonly<Record<string, number>>;
  readonly byTransport: Readonly<Record<string, number>>;
  /** The most frequent, most first. Names are counted hour by hour: left out are the hours where a name was among the rarest. */
  readonly topNames: readonly Count[];
  readonly topBlocked: readonly Count[];
  /** By client id, else by address. */
  readonly topClients: readonly Count[];
  readonly topRules: readonly Count[];
  readonly topUpstreams: readonly Count[];
  /** From the message read to the reply made; null where nothing was asked. Precise to about a fifth: from a histogram. */
  readonly latencyUs: Percentiles | null;
  /** The same for what upstreams were asked for. */
  readonly upstreamLatencyUs: Percentiles | null;
  /** In steps of `stepMs`, those without queries too. */
  readonly series: readonly Sample[];
  readonly stepMs: number;
}

export interface Count {
  readonly key: string;
  readonly count: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

export interface Sample {
  readonly atMs: number;
  readonly total: number;
  readonly blocked: number;
  /** Stale answers too. */
  readonly cached: number;
  /** Ended in a failure, or SERVFAIL was passed on. */
  readonly failed: number;
  /** 0 where nothing was asked. */
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface SummaryRequest {
  readonly fromMs: number;
  readonly toMs: number;
  /** At least a minute; rounded up to whole minutes, and so that there are 2,000 samples at most. */
  readonly stepMs: number;
  /** How many of each top list: 1 to 100. */
  readonly top: number;
}
