import { CallError, call } from "./api/call.ts";
import { useCall } from "./api/use-call.ts";
import { format, words } from "./words/words.ts";

const EVERY_MS = 5000;

/** Rules that are passed over at the moment: seen everywhere, ended by a press. */
export function Pauses() {
  const { data, refresh } = useCall("listPauses", {}, { everyMs: EVERY_MS, topics: ["config"], keep: true });
  const end = async (id: string) => {
    try {
      await call("endPause", { id });
    } catch (error) {
      // It may have ended by itself.
      if (!(error instanceof CallError)) throw error;
    }
    refresh();
  };
  return (
    <>
      {(data ?? []).map(({ id, rules, client, until }) => (
        <button key={id} type="button" class="pause" onClick={() => void end(id)} title={words().shell.endPause}>
          <span class="care">❚❚</span> {rules.join(", ")}
          {client === null ? "" : ` · ${client}`} · {format.value.duration(Math.max(0, (Date.parse(until) - Date.now()) / 1000))}
        </button>
      ))}
    </>
  );
}
