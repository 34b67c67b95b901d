import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { encode } from "uqr";
import type { ConfigView } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { Text, Waiting } from "../parts/text.tsx";
import { QUERIES, queriesWith, urlOf } from "../routes.ts";
import { format, words } from "../words/words.ts";

const ARRIVAL_MS = 3000;
const CLIENT_ID = /^[a-z0-9-]{1,63}$/;

/** Where clients reach this server, by its configuration and the address under which this page was opened. */
interface Place {
  readonly host: string;
  /** Addresses and ports of plain DNS that other devices reach. */
  readonly dns: readonly string[];
  /** URL of DoH, with the client's id; null = no listener speaks it over TLS. */
  readonly doh: string | null;
  /** Name for DoT, with the client's id; null = no listener speaks it. */
  readonly dot: string | null;
}

/** Reads the configuration, and the host that the user names. */
export function placeOf({ config }: ConfigView, host: string, id: string): Place {
  const listen = section(config["listen"]);
  const tls = section(config["tls"]);
  const name = typeof tls["name"] === "string" ? tls["name"] : host;
  const [https] = texts(listen["https"]);
  const [dot] = texts(listen["tls"]);
  const path = typeof listen["dohPath"] === "string" ? listen["dohPath"] : "/dns-query";
  return {
    host,
    dns: texts(listen["dns"]).map((endpoint) => endpoint.replace(/^(127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?=:)/, host)),
    doh: https === undefined ? null : `https://${name}${portOf(https, "443")}${path}${id === "" ? "" : `/${id}`}`,
    dot: dot === undefined ? null : id === "" ? name : `${id}.${name}`,
  };
}

function section(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function texts(value: unknown): readonly string[] {
  return [value].flat().filter((each) => typeof each === "string");
}

function portOf(endpoint: string, usual: string): string {
  const port = /:(\d+)$/.exec(endpoint)?.[1] ?? usual;
  return port === usual ? "" : `:${port}`;
}

/** Set up a device: what to type or scan on each kind, and whether its queries arrive. */
export function Devices() {
  const { data, error } = useCall("getConfig", {});
  const [id, setId] = useState("");
  const [host, setHost] = useState(location.hostname);
  if (data === null) return <Waiting error={error} />;
  const isId = id === "" || CLIENT_ID.test(id);
  const place = placeOf(data, host.trim(), isId ? id : "");
  const say = words().devices;
  const profile = `/api/v1/apple.mobileconfig?url=${encodeURIComponent(place.doh ?? "")}`;
  const [first = ""] = place.dns;
  return (
    <div class="stack devices">
      <p class="soft">{say.intro}</p>
      <div class="row-flex">
        <label class="field">
          <span>{say.server}</span>
          <input
            class="mono"
            value={host}
            autocapitalize="off"
            spellcheck={false}
            onInput={({ currentTarget }) => setHost(currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>{say.id}</span>
          <input
            class="mono"
            value={id}
            placeholder="tv"
            autocapitalize="off"
            spellcheck={false}
            aria-invalid={!isId}
            onInput={({ currentTarget }) => setId(currentTarget.value.trim())}
          />
        </label>
      </div>
      {isId ? null : <p class="bad">{say.badId}</p>}
      <Arrival id={isId ? id : ""} />
      <div class="cards">
        <Device title={say.any}>
          <p>{say.anySteps}</p>
          {place.dns.length === 0 ? (
            <p class="care">{say.noDns}</p>
          ) : (
            place.dns.map((endpoint) => <Value key={endpoint} text={endpoint} />)
          )}
        </Device>
        <Device title="MikroTik RouterOS">
          {place.doh === null ? <NoDoh /> : <a href={urlOf({ page: "house", part: "router" })}>{say.routerSteps} ›</a>}
        </Device>
        <Device title="iPhone · iPad · Mac">
          {place.doh === null ? (
            <NoDoh />
          ) : (
            <>
              <p>{say.appleSteps}</p>
              <a class="button" href={profile} download="fenliu.mobileconfig">
                {say.profile}
              </a>
              <Code text={new URL(profile, location.href).href} label={say.profile} />
            </>
          )}
        </Device>
        <Device title="Android">
          {place.dot === null ? (
            <p class="care">{say.noDot}</p>
          ) : (
            <>
              <p>{say.androidSteps}</p>
              <Value text={place.dot} />
              <Code text={place.dot} label="DoT" />
            </>
          )}
        </Device>
        <Device title="Windows 11">
          {place.doh === null ? (
            <NoDoh />
          ) : (
            <>
              <p>{say.windowsSteps}</p>
              <Value
                text={`netsh dns add encryption server=${first.replace(/:\d+$/, "")} dohtemplate=${place.doh} autoupgrade=yes udpfallback=no`}
              />
            </>
          )}
        </Device>
        <Device title="Firefox · Chrome · Edge">
          {place.doh === null ? (
            <NoDoh />
          ) : (
            <>
              <p>{say.browserSteps}</p>
              <Value text={place.doh} />
              <Code text={place.doh} label="DoH" />
            </>
          )}
        </Device>
        <Device title="mihomo · Clash">
          <p>{say.mihomoSteps}</p>
          <Value text={`dns:\n  nameserver: ["${place.doh ?? `udp://${first}`}"]`} />
        </Device>
      </div>
    </div>
  );
}

function Device({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  return (
    <section class="panel">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

export function NoDoh() {
  return <p class="care">{words().devices.noDoh}</p>;
}

/** Text to copy: without TLS a page may not write to the clipboard, so a press selects the whole. */
export function Value({ text }: { readonly text: string }) {
  return (
    <textarea
      class="mono value"
      readOnly
      rows={text.split("\n").length}
      aria-label={words().parts.copy}
      value={text}
      onFocus={({ currentTarget }) => currentTarget.select()}
    />
  );
}

/** A QR code, dark on light in either theme: many readers know no other. */
function Code({ text, label }: { readonly text: string; readonly label: string }) {
  const { data, size } = encode(text, { border: 2 });
  const path = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : []))).join("");
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={`QR: ${label}`}>
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}

/** Whether queries of the device arrive, looked for every few seconds. */
function Arrival({ id }: { readonly id: string }) {
  const conditions = id === "" ? {} : { client: [id] };
  const { data } = useCall("searchQueries", { ...conditions, from: "10m", limit: 1 }, { everyMs: ARRIVAL_MS, keep: true });
  const [last] = data?.records ?? [];
  const say = words().devices;
  return (
    <p class="notice" role="status">
      {last === undefined ? (
        <>
          <span class="soft">…</span> {id === "" ? say.waiting : say.waitingFor(id)}
        </>
      ) : (
        <>
          <span class="good">✓</span> {say.arrived} <Text value={last.clientId ?? last.client} mono /> ·{" "}
          <Text value={last.name} mono /> <span class="mono">{last.type}</span> · {format.value.ago(last.time, Date.now())}{" "}
          <a href={urlOf(id === "" ? QUERIES : queriesWith("client", id))}>{words().pages.queries} ›</a>
        </>
      )}
    </p>
  );
}
