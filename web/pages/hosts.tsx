import { useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { HostInput, HostView } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { useKeys } from "../keys.ts";
import { Dialog } from "../parts/dialog.tsx";
import { useIsPhone } from "../parts/is-phone.ts";
import { VirtualList } from "../parts/list.tsx";
import { Line } from "../parts/text.tsx";
import { Waiting } from "../parts/waiting.tsx";
import { format, words } from "../words/words.ts";

/** The static table: names of the house. What is set here wins over the configuration. */
export function Hosts() {
  const { data, error, refresh } = useCall("listHosts", {}, { keep: true });
  const [text, setText] = useState("");
  const [edited, setEdited] = useState<HostView | "new" | null>(null);
  const isPhone = useIsPhone();
  useKeys({ r: refresh });
  const say = words().house;
  if (data === null) return <Waiting error={error} />;
  const wanted = text.trim().toLowerCase();
  const found = data.filter(({ name, addresses, cname }) =>
    [name, ...addresses, cname ?? ""].some((each) => each.includes(wanted)),
  );
  return (
    <div class="hosts">
      <div class="row-flex">
        <input
          type="search"
          class="grow"
          value={text}
          aria-label={say.findHost}
          placeholder={say.findHost}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <button type="button" onClick={() => setEdited("new")}>
          {say.addHost}
        </button>
      </div>
      <VirtualList
        label={say.parts.hosts}
        items={found}
        keyOf={({ name }) => name}
        rowHeight={isPhone ? 64 : 40}
        row={(host) => (
          <button type="button" class="host row" onClick={() => setEdited(host)}>
            <span class="mono host-name">
              <Line value={host.name} />
            </span>
            <span class={`mono host-value ${host.hidden ? "struck" : ""}`}>
              <Line value={host.cname === null ? host.addresses.join(", ") : `CNAME ${host.cname}`} />
            </span>
            <span class="soft small host-source">
              <Line value={host.hidden ? say.hidden : host.own ? say.own : `${host.source}:${host.line}`} />
            </span>
          </button>
        )}
        foot={
          <p class="empty soft small">
            {data.length === 0 ? say.noHosts : say.hostCount(format.value.exact(found.length), format.value.exact(data.length))}
          </p>
        }
      />
      {edited === null ? null : (
        <HostDialog
          host={edited === "new" ? null : edited}
          onDone={() => {
            setEdited(null);
            refresh();
          }}
          onClose={() => setEdited(null)}
        />
      )}
    </div>
  );
}

interface HostDialogProps {
  /** null = a new one. */
  readonly host: HostView | null;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

function HostDialog({ host, onDone, onClose }: HostDialogProps) {
  const [name, setName] = useState(host?.name ?? "");
  const [value, setValue] = useState(host === null ? "" : (host.cname ?? host.addresses.join(", ")));
  const [others, setOthers] = useState(host?.others ?? "nodata");
  const [problem, setProblem] = useState<string | null>(null);
  const say = words().house;
  const run = async (change: () => Promise<unknown>) => {
    try {
      await change();
      onDone();
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      setProblem(error.message);
    }
  };
  return (
    <Dialog title={host === null ? say.addHost : say.changeHost} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void run(() => call("putHost", { name: name.trim(), body: hostInput(value, others) }));
        }}
      >
        <label class="field">
          <span>{say.hostName}</span>
          <input
            class="mono"
            required
            readOnly={host !== null}
            value={name}
            placeholder="nas.lan, *.apps.lan"
            autocapitalize="off"
            spellcheck={false}
            onInput={({ currentTarget }) => setName(currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>{say.hostValue}</span>
          <input
            class="mono"
            required
            value={value}
            placeholder="10.0.0.5, fd00::5"
            autocapitalize="off"
            spellcheck={false}
            onInput={({ currentTarget }) => setValue(currentTarget.value)}
          />
        </label>
        <label class="row-flex">
          <input
            type="checkbox"
            checked={others === "forward"}
            onChange={({ currentTarget }) => setOthers(currentTarget.checked ? "forward" : "nodata")}
          />
          <span>{say.forwardOthers}</span>
        </label>
        {host === null || host.own ? null : <p class="soft small">{say.overrides(host.source)}</p>}
        {problem === null ? null : (
          <p class="bad wrap" role="alert">
            {problem}
          </p>
        )}
        <div class="row-flex">
          <button type="submit" class="primary">
            {say.save}
          </button>
          {host?.own || host?.hidden ? (
            <button type="button" onClick={() => void run(() => call("deleteHost", { name: host.name }))}>
              {say.takeBack}
            </button>
          ) : null}
          {host === null || host.own || host.hidden ? null : (
            <button type="button" onClick={() => void run(() => call("deleteHost", { name: host.name, hide: true }))}>
              {say.hide}
            </button>
          )}
        </div>
      </form>
    </Dialog>
  );
}

/** Addresses, or one other name. */
function hostInput(value: string, others: "nodata" | "forward"): HostInput {
  const parts = value.split(/[\s,]+/).filter((part) => part !== "");
  const areAddresses = parts.every((part) => /^[0-9.]+$|:/.test(part));
  return areAddresses ? { address: parts, others } : { cname: value.trim() };
}
