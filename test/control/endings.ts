import { expect, test } from "vitest";
import type { QueryRecord } from "../../src/log/record.ts";
import { type SiteSetup, siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";
import { recorder } from "./recorder.ts";

/** The fields of a plain query, which all records have. */
export const plain = {
  client: "127.0.0.1",
  clientId: null,
  transport: "udp",
  http: null,
  method: null,
  name: "page.example",
  type: "A",
  rcode: "NOERROR",
  answers: [],
  source: "upstream",
  action: "none",
  rule: null,
  list: null,
  line: null,
  route: null,
  upstream: null,
  attempts: [],
  negativeTtl: null,
  ede: [],
  edits: [],
} as const satisfies Partial<QueryRecord>;

export const refused = { ...plain, source: "refused", rcode: "REFUSED" } as const;

export const page = honest("page.example 300 A 192.0.2.7", "page.example 300 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.7");

/** One query and the record that it leaves. */
export interface Ending {
  readonly what: string;
  readonly yaml?: string;
  readonly upstreams?: SiteSetup["upstreams"];
  /** All queries before the one under test. */
  readonly before?: (site: TestSite) => Promise<unknown>;
  readonly ask: (site: TestSite) => Promise<unknown>;
  /** `SERVER` stands for the server of the first group. */
  readonly record: Partial<QueryRecord>;
}

export const attempt = {
  group: "main",
  server: "SERVER",
  transport: "udp",
  startMs: 0,
  ms: 0,
  rcode: "NOERROR",
  failure: null,
} as const;
export const asked = { ...plain, route: "main", upstream: "SERVER", attempts: [attempt] } as const;
export const answers = ["300 A 192.0.2.7"];

/** Each of these queries leaves one record with these values. */
export function leaveOneRecord(endings: readonly Ending[]): void {
  test.each(endings)(
    "$what leaves exactly one record",
    async ({ yaml = "", upstreams = { main: page }, before, ask, record }) => {
      const site = await siteWith({ yaml, upstreams });
      const records = recorder(site);
      await before?.(site);
      records();
      await ask(site);
      const made = records();
      expect(made).toHaveLength(1);
      const server = site.app.upstreams()[0]?.members[0]?.label ?? "";
      const expected: unknown = JSON.parse(JSON.stringify(record).replaceAll("SERVER", server));
      expect(made[0]).toMatchObject(Object(expected));
      expect(made[0]).toMatchObject({ time: "2026-01-01T00:00:00.000Z", durationUs: 0, version: site.app.state.version });
    },
  );
}
