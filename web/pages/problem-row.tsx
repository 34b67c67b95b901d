import type { Trouble } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { Name, Sentence, Text } from "../parts/text.tsx";
import { urlOf } from "../routes.ts";
import { format, words } from "../words/words.ts";

/** One problem in a list: which names, why, whom it hurts. */
export function ProblemRow({ problem, isOpen = false }: { readonly problem: Trouble; readonly isOpen?: boolean }) {
  const { id, state, why, queries, firstSeen, lastSeen, clients, clientCount, series } = problem;
  const [first] = clients;
  const say = words().problems;
  return (
    <a class={isOpen ? "problem row open" : "problem row"} data-row={id} href={urlOf({ page: "problems", id })}>
      <span class="problem-what">
        <span class={SIGN_TONES[state]} aria-hidden="true">
          {SIGNS[state]}{" "}
        </span>
        <ProblemTitle problem={problem} />
      </span>
      {queries === 0 ? <span /> : <Spark series={series} />}
      {queries === 0 ? null : (
        <span class="problem-why">
          <Sentence said={why} />
        </span>
      )}
      <span class="small soft problem-more">
        <span>{say.states[state]}</span>
        {first === undefined ? null : (
          <span>
            <Text value={first.key} />
            {clientCount > 1 ? ` +${format.value.ofProblem(clientCount, 1)}` : ""}
          </span>
        )}
        {queries === 0 ? null : <span>{say.queries(format.value.count(queries))}</span>}
        <span>
          {queries === 0
            ? words().health.since(format.value.when(firstSeen, Date.now()))
            : `${say.lastSeen} ${format.value.ago(lastSeen, Date.now())}`}
        </span>
      </span>
    </a>
  );
}

/** What goes wrong again and again with a name, and the way to what mends it. */
export function ProblemsOf({ name }: { readonly name: string }) {
  const { data } = useCall("listProblems", {}, { topics: ["problems"], keep: true });
  const wanted = name.replace(/\.$/, "").toLowerCase();
  const isOf = ({ state, names }: Trouble) => state !== "muted" && state !== "fixed" && names.some(({ key }) => key === wanted);
  return (
    <>
      {(data?.problems ?? []).filter(isOf).map(({ id, why }) => (
        <p key={id} class="notice">
          <span class="care" aria-hidden="true">
            ▲
          </span>{" "}
          <Sentence said={why} /> <a href={urlOf({ page: "problems", id })}>{words().problems.whatMends} ›</a>
        </p>
      ))}
    </>
  );
}

/** The names that it is about; of a part of the server that is not well, what is the matter. */
export function ProblemTitle({ problem: { suffix, names, nameCount, why, queries } }: { readonly problem: Trouble }) {
  if (queries === 0) return <Sentence said={why} />;
  const [only] = names;
  if (nameCount === 1 && only !== undefined) return <Name value={only.key} max={40} />;
  const count = words().problems.names(format.value.ofProblem(nameCount));
  if (suffix === "") return <strong>{count}</strong>;
  return (
    <>
      <Name value={suffix} max={40} /> <span class="soft small">({count})</span>
    </>
  );
}

const SIGNS: Readonly<Record<Trouble["state"], string>> = { open: "▲", cameBack: "▲", quiet: "◦", muted: "–", fixed: "✓" };
const SIGN_TONES: Readonly<Record<Trouble["state"], string>> = {
  open: "care",
  cameBack: "care",
  quiet: "soft",
  muted: "soft",
  fixed: "good",
};

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
