import { useEffect } from "preact/hooks";
import { isGone } from "../api/call.ts";
import type { Health } from "../api/calls.ts";
import { health, isLive } from "../api/events.ts";
import { useCall } from "../api/use-call.ts";
import bad from "../icons/bad.svg";
import care from "../icons/care.svg";
import well from "../icons/well.svg";
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

/** The one word of the header. Screen readers hear it when it changes. */
export function HealthWord() {
  const state = stateNow();
  return (
    <a class={`health-word ${TONES[state]}`} href="/">
      <span aria-hidden="true">{SIGNS[state]}</span> <span role="status">{words().health.states[state]}</span>
    </a>
  );
}
