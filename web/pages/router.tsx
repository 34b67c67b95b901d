import { useState } from "preact/hooks";
import type { Calls, ConfigView } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { useKeys } from "../navigation.ts";
import { Sentence, Text, Waiting } from "../parts/text.tsx";
import { format, words } from "../words/words.ts";
import { NoDoh, placeOf, Value } from "./devices.tsx";

const FEEDER_MS = 5000;

/** The MikroTik router: whether it does as it should, the address lists that answers feed, and the script that sets it up. */
export function Router() {
  const { data, error } = useCall("getConfig", {}, { topics: ["config"], keep: true });
  if (data === null) return <Waiting error={error} />;
  const router = data.config["routeros"];
  const section = typeof router === "object" && router !== null ? (router as RouterSection) : null;
  return (
    <div class="stack">
      <Drift isConfigured={typeof section?.doh === "string"} />
      <Feeder isConfigured={Array.isArray(section?.addressLists) && section.addressLists.length > 0} />
      <SetUp view={data} />
    </div>
  );
}

/** Of the configuration, as far as it tells what there is to show. */
interface RouterSection {
  readonly doh?: unknown;
  readonly addressLists?: unknown;
}

type Check = Calls["checkRouter"]["output"];

/** What a check of the router finds. It asks the router, so it runs when the page is opened or somebody wants it. */
function Drift({ isConfigured }: { readonly isConfigured: boolean }) {
  const { data, error, isLoading, refresh } = useCall("checkRouter", isConfigured ? {} : null, { keep: true });
  useKeys({ r: refresh });
  const say = words().router;
  return (
    <section class="panel" aria-label={say.drift}>
      <div class="row-flex spread">
        <h2>{say.drift}</h2>
        {isConfigured ? (
          <button type="button" disabled={isLoading} onClick={refresh}>
            {say.checkAgain}
          </button>
        ) : null}
      </div>
      {!isConfigured ? (
        <NotConfigured hint={say.noRouter} example={CHECK_EXAMPLE} />
      ) : data !== null ? (
        <Findings check={data} />
      ) : error === null ? (
        <p class="soft loading">{say.checking}</p>
      ) : (
        <Waiting error={error} />
      )}
    </section>
  );
}

function Findings({ check: { version, checked, findings, notes, fix } }: { readonly check: Check }) {
  const say = words().router;
  return (
    <>
      <p>
        {findings.length === 0 ? (
          <>
            <span class="good">✓</span> {say.sound}
          </>
        ) : (
          <>
            <span class="care">▲</span> {say.found(findings.length)}
          </>
        )}{" "}
        <span class="soft small">
          RouterOS {version} · {format.value.moment(checked)}
        </span>
      </p>
      <ol class="findings">
        {findings.map((finding) => (
          <li key={finding.number} class="stack-small">
            <p>
              <Sentence said={finding.otherwise} />
            </p>
            <dl class="facts small">
              <div>
                <dt>{say.place}</dt>
                <dd>
                  <Text value={`${finding.menu} ${finding.field}`} mono />
                </dd>
              </div>
              <div>
                <dt>{say.seen}</dt>
                <dd>
                  <Text value={finding.seen === "" ? words().parts.nothing : finding.seen} mono max={200} />
                </dd>
              </div>
              <div>
                <dt>{say.wanted}</dt>
                <dd>
                  <Text value={finding.wanted} mono max={200} />
                </dd>
              </div>
            </dl>
            <Value text={finding.command} />
          </li>
        ))}
      </ol>
      {notes.length === 0 ? null : (
        <ul class="notes soft">
          {notes.map((note) => (
            <li key={note.text}>
              <Sentence said={note} />
            </li>
          ))}
        </ul>
      )}
      {findings.length < 2 ? null : (
        <details>
          <summary>{say.all}</summary>
          <Value text={fix} />
        </details>
      )}
    </>
  );
}

const CHECK_EXAMPLE = `routeros:
  url: "https://192.168.88.1"
  user: fenliu
  passwordFile: secrets/routeros
  doh: "https://doh.example.com"`;

const FEEDER_EXAMPLE = `  addressLists: [{ rule: split, list: WORLD }]`;

function NotConfigured({ hint, example }: { readonly hint: string; readonly example: string }) {
  return (
    <>
      <p class="soft">{hint}</p>
      <Value text={example} />
    </>
  );
}

/** The address lists of the router that answers feed. */
function Feeder({ isConfigured }: { readonly isConfigured: boolean }) {
  const { data, error } = useCall("getRouter", isConfigured ? {} : null, { everyMs: FEEDER_MS, keep: true });
  const say = words().router;
  return (
    <section class="panel" aria-label={say.feeder}>
      <h2>{say.feeder}</h2>
      {!isConfigured ? (
        <NotConfigured hint={say.noFeeder} example={FEEDER_EXAMPLE} />
      ) : data === null ? (
        <Waiting error={error} />
      ) : (
        <FeederView feeder={data} />
      )}
    </section>
  );
}

function FeederView({ feeder: { dryRun, problem, queued, counts, lists } }: { readonly feeder: Calls["getRouter"]["output"] }) {
  const say = words().router;
  return (
    <>
      <p>
        {problem === null ? <span class="good">✓ {say.takes}</span> : <span class="care">▲ {say.takesNot}</span>}{" "}
        {problem === null ? null : <Text value={problem} max={300} />}
        {dryRun ? <span class="soft"> · {say.dryRun}</span> : null}
      </p>
      <table class="plain-table">
        <thead>
          <tr>
            <th>{say.list}</th>
            <th>{say.rules}</th>
            <th class="number">{say.entries}</th>
          </tr>
        </thead>
        <tbody>
          {lists.map(({ list, rules, entries }) => (
            <tr key={list}>
              <td class="mono">
                <Text value={list} />
              </td>
              <td>
                <Text value={rules.join(", ")} />
              </td>
              <td class="mono number">{format.value.exact(entries)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <ul class="counts">
        {[["queued", queued] as const, ...Object.entries(counts)].map(([key, count]) => (
          <li key={key}>
            <span class="mono">{format.value.exact(count)}</span>{" "}
            <span class="soft">{say.counts[key as keyof typeof say.counts] ?? key}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** The script that makes this server the DoH server of the router. */
function SetUp({ view }: { readonly view: ConfigView }) {
  const [host, setHost] = useState(location.hostname);
  const say = words().devices;
  const { doh } = placeOf(view, host.trim(), "");
  return (
    <section class="panel" aria-label={words().router.setUp}>
      <h2>{words().router.setUp}</h2>
      {doh === null ? (
        <NoDoh />
      ) : (
        <ol class="numbered">
          <li>
            <label class="field">
              <span>{say.server}</span>
              <input class="mono" value={host} onInput={({ currentTarget }) => setHost(currentTarget.value)} />
            </label>
          </li>
          <li>
            <a class="button" href={`/api/v1/routeros.rsc?url=${encodeURIComponent(doh)}`} download="fenliu.rsc">
              {say.script}
            </a>
          </li>
          <li>
            {say.upload} <Value text="/import file-name=fenliu.rsc" />
          </li>
        </ol>
      )}
    </section>
  );
}
