import type { QueryRecord } from "../../src/log/record.ts";
import { ApiClient } from "../admin/support/api-client.ts";
import type { FenliuProcess } from "./fenliu.ts";

/** The API of a running Fenliu; every response is held against its document. */
export function apiOf({ ports }: Pick<FenliuProcess, "ports">, token: string | null = null): ApiClient {
  return new ApiClient(`http://127.0.0.1:${ports.admin}`, () => token);
}

/** What a search finds, newest first; `search` as in a URL: `name=page.example&type=A`. @throws Error where it is refused. */
export async function recordsOf(api: ApiClient, search: string): Promise<readonly QueryRecord[]> {
  const { status, body } = await api.get(`/api/v1/queries?limit=1000&${search}`);
  if (status !== 200) throw new Error(JSON.stringify(body));
  // It is as the document says, or the call would have failed.
  return (body as { readonly records: readonly QueryRecord[] }).records;
}

/** Every record, by way of an export, oldest first. */
export async function allRecords(api: ApiClient): Promise<readonly QueryRecord[]> {
  const { status, body } = await api.get("/api/v1/queries/export?format=ndjson");
  if (status !== 200) throw new Error(JSON.stringify(body));
  const lines = String(body).split("\n").slice(0, -1);
  return lines.map((line): QueryRecord => JSON.parse(line)).toReversed();
}
