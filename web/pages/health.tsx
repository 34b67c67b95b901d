import { useEffect, useState } from "preact/hooks";
import { isGone } from "../api/call.ts";
import type { Health } from "../api/calls.ts";
import { health, isLive } from "../api/events.ts";
import { useCall } from "../api/use-call.ts";
import bad from "../icons/bad.svg";
import care from "../icons/care.svg";
import well from "../icons/well.svg";
import { Announcer } from "../parts/announcer.ts";
import { sayAll } from "../words/said.ts";
import { words } from "../words/words.ts";

export type HealthState = Health["state"];

export const SIGNS: Readonly<Record<HealthState, string>> = { well: "✓", care: "▲", bad: "✕", unknown: "?" };
export const TONES: Readonly<Record<HealthState, string>> = { well: "good", care: "care", bad: "bad", unknown: "soft" };
const ICONS: Readonly<Record<HealthState, string>> = { well, care, bad, unknown: care };

const EVERY_MS = 5000;

/** Never "all well" on what was not heard. */
function stateNow(): HealthState {
  return isGone.value ? "unknown" : (health.value?.state ?? "unknown");
}

/** Keeps `health` up to date, and shows it in title and icon of the tab. */
export function useHealth(): void {
  // While the server tells of it, nobody asks.
  const { data } = useCall("getHealth", isLive.value ? null : {}, { everyMs: EVERY_MS });
  useEffect(() => {
    if (data !== null) health.value = data;
  }, [data]);
  const state = stateNow();
  useEffect(() => {
    document.title = state === "well" ? "Fenliu" : `${SIGNS[state]} ${words().health.states[state]} · Fenliu`;
    document.querySelector("link[rel=icon]")?.setAttribute("href", ICONS[state]);
  }, [state]);
}

/** The one word of the header. */
export function HealthWord() {
  const state = stateNow();
  return (
    <a class={`health-word ${TONES[state]}`} href="/">
      <span aria-hidden="true">{SIGNS[state]}</span> {words().health.states[state]}
    </a>
  );
}

const MOST_SAID = 3;

function partState({ kind, name, state }: Health["items"][number]): string {
  return `${kind} ${name} ${state}`;
}

/** Changes of the health, for screen readers: the state, and what has become otherwise. */
export function HealthAnnouncement() {
  const [said, setSaid] = useState("");
  const [announcer] = useState(() => new Announcer(setSaid));
  const state = stateNow();
  const known = health.value;
  const items = known?.items ?? [];
  const all = JSON.stringify([state, ...items.map(partState)]);
  useEffect(() => {
    if (known === null) return;
    announcer.tell(all, (told) => {
      const before: ReadonlySet<string> = new Set(JSON.parse(told));
      const changed = items.filter((item) => !before.has(partState(item))).slice(0, MOST_SAID);
      const { titles, announced } = words().health;
      return announced(titles[state], sayAll(changed.map(({ said }) => said)));
    });
  }, [all]);
  useEffect(() => () => announcer.close(), []);
  return (
    <p class="hidden" role="status">
      {said}
    </p>
  );
}
