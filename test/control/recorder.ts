import type { QueryRecord } from "../../src/log/record.ts";
import type { TestSite } from "../support/site.ts";

/** Follows the queries of a site. @returns what gives their records, in the order of their endings, since the last time. */
export function recorder({ app }: TestSite): () => QueryRecord[] {
  const records: QueryRecord[] = [];
  app.recorder.follow((record) => records.push(record));
  return () => {
    app.recorder.flush();
    return records.splice(0);
  };
}
