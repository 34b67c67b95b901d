import type { QueryRecord } from "../../src/log/record.ts";

/** The record of a query that went the usual way, with what a test wants otherwise. */
export function sampleRecord(changes: Partial<QueryRecord> = {}): QueryRecord {
  const timeMs = Date.parse(changes.time ?? "2026-11-21T21:03:11.482Z");
  return {
    id: timeMs * 1024,
    time: new Date(timeMs).toISOString(),
    client: "192.168.88.1",
    clientId: null,
    transport: "udp",
    http: null,
    method: null,
    name: "www.example.com",
    type: "A",
    rcode: "NOERROR",
    answers: ["60 A 192.0.2.7"],
    source: "upstream",
    action: "none",
    rule: "split",
    list: "cn",
    line: 12,
    route: "domestic",
    upstream: "223.5.5.5",
    attempts: [{ group: "domestic", server: "223.5.5.5", transport: "udp", ms: 8.5, rcode: "NOERROR", failure: null }],
    negativeTtl: null,
    durationUs: 12_300,
    size: 61,
    ede: [],
    edits: [],
    trace: [],
    version: "",
    ...changes,
  };
}
