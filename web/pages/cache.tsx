import { useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { CachedAnswer, CacheView } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { useKeys } from "../navigation.ts";
import { Count, Text, Waiting } from "../parts/text.tsx";
import { format, words } from "../words/words.ts";

const EVERY_MS = 5000;

/** What the cache holds of a name, and how full it is. */
export function Cache() {
  const [name, setName] = useState("");
  const [wanted, setWanted] = useState("");
  const [said, setSaid] = useState<string | null>(null);
  const { data, error, refresh } = useCall("inspectCache", wanted === "" ? {} : { name: wanted }, {
    everyMs: EVERY_MS,
    keep: true,
  });
  useKeys({ r: refresh });
  const say = words().house;
  const flush = async (subtree: boolean) => {
    try {
      const { flushed } = await call("flushCache", { name: wanted, subtree });
      setSaid(say.flushed(format.value.exact(flushed)));
      refresh();
    } catch (failed) {
      if (!(failed instanceof CallError)) throw failed;
      setSaid(failed.message);
    }
  };
  return (
    <div class="stack">
      <form
        class="row-flex"
        onSubmit={(event) => {
          event.preventDefault();
          setSaid(null);
          setWanted(name.trim());
        }}
      >
        <input
          class="mono grow"
          value={name}
          aria-label={words().ask.name}
          placeholder={words().ask.name}
          autocapitalize="off"
          autocomplete="off"
          spellcheck={false}
          onInput={({ currentTarget }) => setName(currentTarget.value)}
        />
        <button type="submit">{say.lookUp}</button>
        {wanted === "" ? null : (
          <>
            <button type="button" onClick={() => void flush(false)}>
              {say.flush}
            </button>
            <button type="button" onClick={() => void flush(true)}>
              {say.flushBelow}
            </button>
          </>
        )}
      </form>
      {said === null ? null : <p role="status">{said}</p>}
      {data === null ? <Waiting error={error} /> : null}
      {data === null || wanted === "" ? null : <Held answers={data.answers} />}
      {data === null ? null : <Fullness stats={data.stats} />}
    </div>
  );
}

function Held({ answers }: { readonly answers: readonly CachedAnswer[] }) {
  const say = words().house;
  if (answers.length === 0) return <p class="soft">{say.notHeld}</p>;
  return (
    <ul class="cards">
      {answers.map((held) => (
        <li key={`${held.type} ${held.route} ${held.subnet}`} class="panel">
          <p>
            <strong class="mono">{held.type}</strong> {held.rcode} <span class="soft">{held.route}</span>
          </p>
          <ul>
            {held.answers.map((answer) => (
              <li key={answer}>
                <Text value={answer} mono />
              </li>
            ))}
          </ul>
          <p class="small soft">
            {held.remainingSeconds >= 0
              ? words().journey.age(format.value.duration(held.ageSeconds), format.value.duration(held.remainingSeconds))
              : say.staleFor(format.value.duration(-held.remainingSeconds))}
            {" · "}
            <Count value={held.hits} tone="soft" say={say.hits} />
          </p>
        </li>
      ))}
    </ul>
  );
}

function Fullness({ stats: { hits, misses, positive, negative } }: { readonly stats: CacheView }) {
  const say = words().house;
  const asked = hits + misses;
  return (
    <div class="cards">
      <section class="panel">
        <h2>{say.hitRate}</h2>
        <p class="big mono">{asked === 0 ? "–" : format.value.percent(hits / asked)}</p>
        <p class="small soft">{say.hitsAndMisses(format.value.exact(hits), format.value.exact(misses))}</p>
      </section>
      {[[say.positive, positive] as const, [say.negative, negative] as const].map(
        ([title, { entries, bytes, budgetBytes, evictions }]) => (
          <section key={title} class="panel">
            <h2>{title}</h2>
            <p class="big mono">
              <Count value={entries} tone="" />
            </p>
            <svg class="share" width="100%" height="6" aria-hidden="true">
              <rect class="track" width="100%" height="6" rx="3" />
              <rect width={`${(bytes / Math.max(1, budgetBytes)) * 100}%`} height="6" rx="3" />
            </svg>
            <p class="small soft">
              {say.room(format.value.bytes(bytes), format.value.bytes(budgetBytes))} ·{" "}
              <Count value={evictions} tone="" say={say.evictions} />
            </p>
          </section>
        ),
      )}
    </div>
  );
}
