import type { ValueOf } from "../../src/admin/schemas/named.ts";
import type { queryRecordSchema } from "../../src/admin/schemas/record.ts";
import type { Statistics } from "../../src/admin/schemas/views.ts";
export interface Said {
  code: string;
  values: Record<string, string | number>;
  text: string;
}
export type State = "well" | "care" | "bad" | "unknown";
export interface Health {
  state: State;
  since: string;
  items: readonly {
    kind: "group" | "list" | "certificate" | "router" | "expectations" | "log" | "pause";
    name: string;
    state: State;
    said: Said;
    since: string;
    problem: string | null;
  }[];
}
type C = Statistics["topNames"][number];
export type ConfigEdit =
  | { kind: "pattern"; rule: string; pattern: string }
  | { kind: "rule"; before: string | null; rule: Record<string, unknown> }
  | { kind: "host"; name: string; record: unknown }
  | { kind: "set"; path: string; value: unknown };
export interface Fix {
  id: string;
  title: Said;
  kind: "edit" | "host" | "flush" | "refresh" | "pause" | "router";
  edit: ConfigEdit | null;
}
export interface Problem {
  id: string;
  cause: string;
  suffix: string;
  culprit: {
    kind: "rule" | "group" | "server" | "list" | "client" | "certificate" | "router" | "expectation" | "log";
    name: string;
    list: string | null;
    line: number | null;
  };
  state: "open" | "quiet" | "muted" | "fixed" | "cameBack";
  why: Said;
  firstSeen: string;
  lastSeen: string;
  queries: number;
  names: readonly C[];
  nameCount: number;
  clients: readonly C[];
  clientCount: number;
  series: readonly number[];
  shared: readonly { field: string; value: string; share: number; usual: number }[];
  began: { version: string; secondsBefore: number; changedLines: readonly number[] } | null;
  newest: number;
  fixes: readonly Fix[];
}
export interface ProblemPage {
  problems: readonly Problem[];
  cursor: string | null;
  searched: { queries: number; complete: boolean };
}
export type Record1 = ValueOf<typeof queryRecordSchema>;
export type Attempt1 = Record1["attempts"][number] & { startMs?: number };
export type QueryRecord = Omit<Record1, "attempts"> & { attempts: readonly Attempt1[]; outcome: Outcome };
export type Outcome = "local" | "rule" | "cache" | "stale" | "near" | "far" | "failed" | "refused";
export type Stats = Omit<Statistics, "series"> & {
  topFailing: readonly C[];
  series: readonly (Statistics["series"][number] & { outcomes: Record<Outcome, number> })[];
};
