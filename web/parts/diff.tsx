import type { DiffLine } from "../api/calls.ts";
import { words } from "../words/words.ts";
import { Text } from "./text.tsx";

const SIGNS: Readonly<Record<DiffLine["kind"], string>> = { same: " ", removed: "−", added: "+" };

/** Lines that go and lines that come, with a sign before the colour. */
export function Diff({ lines }: { readonly lines: readonly DiffLine[] }) {
  if (lines.every(({ kind }) => kind === "same")) return <p class="soft">{words().parts.noDifference}</p>;
  return (
    <ol class="diff mono" aria-label={words().parts.difference}>
      {lines.map(({ kind, before, after, text }, index) => (
        <li key={`${index} ${kind}`} class={kind}>
          <span class="soft" aria-hidden="true">
            {after ?? before}
          </span>
          <span aria-hidden="true">{SIGNS[kind]}</span>
          <span>
            {kind === "same" ? null : <span class="hidden">{words().parts.diffKinds[kind]}: </span>}
            <Text value={text} max={300} />
          </span>
        </li>
      ))}
    </ol>
  );
}
