import { useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { HostInput, HostView } from "../api/calls.ts";
import { Dialog } from "../parts/dialog.tsx";
import { words } from "../words/words.ts";

interface HostDialogProps {
  /** null = a new one. */
  readonly host: HostView | null;
  /** Of a new one. */
  readonly newName?: string;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

/** Sets, takes back or hides a name of the static table. */
export function HostDialog({ host, newName = "", onDone, onClose }: HostDialogProps) {
  const [name, setName] = useState(host?.name ?? newName);
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
