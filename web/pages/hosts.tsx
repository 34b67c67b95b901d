import { useState } from "preact/hooks";
import type { HostView } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { useKeys } from "../navigation.ts";
import { VirtualList } from "../parts/list.tsx";
import { Line, Waiting } from "../parts/text.tsx";
import { useIsPhone } from "../theme.ts";
import { format, words } from "../words/words.ts";
import { HostDialog } from "./host-dialog.tsx";

/** The static table: names of the house. What is set here wins over the configuration. */
export function Hosts() {
  const { data, error, refresh } = useCall("listHosts", {}, { topics: ["config"], keep: true });
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
        row={(host, tabIndex) => (
          <button type="button" class="host row" tabIndex={tabIndex} onClick={() => setEdited(host)}>
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
