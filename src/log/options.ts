/** Section `log`. */
export interface LogOptions {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  readonly queries: QueryLogOptions;
  /** URLs that query records are sent to. */
  readonly sinks: readonly string[];
}

export interface QueryLogOptions {
  readonly enabled: boolean;
  /** Absolute path of the database. */
  readonly store: string;
  readonly keepMs: number;
  readonly maxRows: number;
  readonly clients: "full" | "prefix" | "none";
}
