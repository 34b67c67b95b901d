import { useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { QueryRecord } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { journeyOfRecord } from "../journey/journey.ts";
import { Picture } from "../journey/picture.tsx";
import { Opened } from "../parts/list.tsx";
import { Name } from "../parts/text.tsx";
import { ASK, QUERIES, type QueriesRoute, queriesWith, urlOf } from "../routes.ts";
import { format, words } from "../words/words.ts";
import { HostDialog } from "./host-dialog.tsx";
import { ProblemsOf } from "./problem-row.tsx";
import { RuleDialog } from "./rule-dialog.tsx";

const MINUTE_MS = 60_000;

/** The picture of one recorded query, and what one would do next. */
export function QueryView({ id, at }: { readonly id: number; readonly at: QueriesRoute }) {
  const { data, error } = useCall("getQuery", { id });
  return (
    <Opened label={words().queries.picture} rowKey={id} closed={urlOf({ ...at, open: null })}>
      {error === null ? null : (
        <p class="empty bad" role="alert">
          {error.status === 404 ? words().queries.recordGone : error.message}
        </p>
      )}
      {data === null ? null : (
        <>
          <h2>
            <Name value={data.name === "" ? words().queries.noName : data.name} /> <span class="soft">{data.type}</span>
          </h2>
          <ProblemsOf name={data.name} />
          <Picture journey={journeyOfRecord(data)} />
          <NextSteps record={data} />
        </>
      )}
    </Opened>
  );
}

function NextSteps({ record }: { readonly record: QueryRecord }) {
  const { name, type, client, clientId, time, version } = record;
  const [said, setSaid] = useState<string | null>(null);
  const [dialog, setDialog] = useState<"host" | "rule" | null>(null);
  const who = clientId ?? client;
  const ms = new Date(time).getTime();
  const flush = async () => {
    try {
      const { flushed } = await call("flushCache", { name });
      setSaid(words().house.flushed(format.value.exact(flushed)));
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      setSaid(error.message);
    }
  };
  const around = queriesWith("client", who, { from: String(ms - MINUTE_MS), to: String(ms + MINUTE_MS) });
  return (
    <div class="next-steps">
      <a class="button" href={urlOf({ ...ASK, name, type, client: who, a: "live" })}>
        {words().queries.askNow}
      </a>
      <a class="button" href={urlOf({ ...ASK, name, type, client: who, a: version, b: "now" })}>
        {words().queries.compareNow}
      </a>
      <a class="button" href={urlOf(around)}>
        {words().queries.around}
      </a>
      <a class="button" href={urlOf({ ...QUERIES, filters: [{ key: "name", value: `full:${name}` }] })}>
        {words().queries.sameName}
      </a>
      <button type="button" onClick={() => void flush()}>
        {words().queries.flush}
      </button>
      {name === "" ? null : (
        <>
          <button type="button" onClick={() => setDialog("rule")}>
            {words().queries.makeRule}
          </button>
          <button type="button" onClick={() => setDialog("host")}>
            {words().queries.addHost}
          </button>
        </>
      )}
      {said === null ? null : <p role="status">{said}</p>}
      {dialog === "rule" ? <RuleDialog record={record} onClose={() => setDialog(null)} /> : null}
      {dialog === "host" ? (
        <HostDialog
          host={null}
          newName={name}
          onDone={() => {
            setDialog(null);
            setSaid(words().problems.done);
          }}
          onClose={() => setDialog(null)}
        />
      ) : null}
    </div>
  );
}
