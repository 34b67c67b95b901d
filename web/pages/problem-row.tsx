import type { Trouble } from "../api/calls.ts";
import { Sentence } from "../parts/sentence.tsx";
import { Text } from "../parts/text.tsx";
import { urlOf } from "../routes.ts";
import { format, words } from "../words/words.ts";

/** One problem in a list: why, which names, whom it hurts. */
export function ProblemRow({ problem, isOpen = false }: { readonly problem: Trouble; readonly isOpen?: boolean }) {
  const { id, suffix, nameCount, state, why, queries, lastSeen, clients, clientCount, series } = problem;
  const [first] = clients;
  return (
    <a class={isOpen ? "problem row open" : "problem row"} href={urlOf({ page: "problems", id })}>
      <span class="problem-why">
        <Sentence said={why} />
      </span>
      <Spark series={series} />
      <span class="small soft problem-more">
        {state === "open" ? null : <span>{words().problems.states[state]}</span>}
        {suffix === "" ? null : (
          <span>
            <Text value={suffix} mono max={40} />
            {nameCount > 1 ? ` (${words().problems.names(format.value.exact(nameCount))})` : ""}
          </span>
        )}
        {first === undefined ? null : (
          <span>
            {first.key}
            {clientCount > 1 ? ` +${clientCount - 1}` : ""}
          </span>
        )}
        {queries === 0 ? null : <span>{words().problems.queries(format.value.count(queries))}</span>}
        <span>{format.value.ago(lastSeen, Date.now())}</span>
      </span>
    </a>
  );
}

/** Queries of each of the last 24 hours. */
export function Spark({ series }: { readonly series: readonly number[] }) {
  const most = Math.max(1, ...series);
  const width = 100 / Math.max(1, series.length);
  return (
    <svg class="spark" width="72" height="16" aria-hidden="true">
      {series.map((count, index) => (
        <rect
          key={index}
          x={`${index * width}%`}
          width={`${width * 0.8}%`}
          y={`${100 - (count / most) * 100}%`}
          height={`${(count / most) * 100}%`}
        />
      ))}
    </svg>
  );
}
