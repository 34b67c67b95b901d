import { useState } from "preact/hooks";
import type { CallError } from "../api/call.ts";
import { useIsPhone } from "../theme.ts";
import { type SaidSentence, sayText } from "../words/said.ts";
import { format, words } from "../words/words.ts";
import { lettersOf } from "./letters.ts";
import { shortened, visiblePieces, visibleText } from "./visible.ts";

interface TextProps {
  readonly value: string;
  /** Characters from which on the middle is left out until it is pressed. */
  readonly max?: number;
  readonly mono?: boolean;
}

/** Text that strangers wrote: names, records, lines of lists. It never reorders what is around it, and shows what cannot be seen. */
export function Text({ value, max = 80, mono = false }: TextProps) {
  const [whole, setWhole] = useState(false);
  const short = whole ? null : shortened(value, max);
  return (
    <bdi class={mono ? "mono wrap" : "wrap"}>
      {short === null ? (
        <Pieces text={value} />
      ) : (
        <>
          <Pieces text={short[0]} />
          <button type="button" class="link" aria-label={words().parts.showWhole} onClick={() => setWhole(true)}>
            …
          </button>
          <Pieces text={short[1]} />
        </>
      )}
    </bdi>
  );
}

/** The same where a press means something else: cut by the style, whole in the title. */
export function Line({ value }: Pick<TextProps, "value">) {
  const letters = lettersOf(value);
  return (
    <bdi class="cut" title={visibleText(letters === null ? value : `${value} (${letters.join(".")})`)}>
      <Pieces text={value} />
      {letters === null ? null : <Letters labels={letters} />}
    </bdi>
  );
}

/** A domain name. What its A-labels are meant to be read as stands beside them, never in their place: it may look like another name. */
export function Name({ value, max = 80 }: Omit<TextProps, "mono">) {
  const letters = lettersOf(value);
  return (
    <>
      <Text value={value} max={max} mono />
      {letters === null ? null : <Letters labels={letters} />}
    </>
  );
}

/** Each label for itself: one that is written from right to left does not move the others. */
function Letters({ labels }: { readonly labels: readonly string[] }) {
  return (
    <span class="soft letters wrap" dir="ltr">
      {" ("}
      {labels.map((label, index) => (
        <span key={`${index} ${label}`}>
          {index === 0 ? "" : "."}
          <bdi>
            <Pieces text={label} />
          </bdi>
        </span>
      ))}
      )
    </span>
  );
}

function Pieces({ text }: { readonly text: string }) {
  return (
    <>{visiblePieces(text).map((piece) => (piece.kind === "text" ? piece.text : <span class="unseen">{piece.text}</span>))}</>
  );
}

interface CountProps {
  readonly value: number;
  /** How it is drawn. */
  readonly tone?: string;
  /** What is said of the number. */
  readonly say?: (count: string) => string;
}

/** A number as people say it, `61.2k`; exact in its title, and when it is pressed where nobody can point at it. */
export function Count({ value, tone = "mono soft", say = (count) => count }: CountProps) {
  const [isExact, setExact] = useState(false);
  const isPhone = useIsPhone();
  const { count, exact } = format.value;
  if (!isPhone || count(value) === exact(value))
    return (
      <span class={tone} title={exact(value)}>
        {say(count(value))}
      </span>
    );
  return (
    <button type="button" class={`link count ${tone}`} aria-pressed={isExact} onClick={() => setExact(!isExact)}>
      {say(isExact ? exact(value) : count(value))}
    </button>
  );
}

/** A sentence of the server; what stands between backticks is code. */
export function Sentence({ said }: { readonly said: SaidSentence }) {
  return (
    <>
      {sayText(said)
        .split("`")
        .map((part, index) => (index % 2 === 1 ? <code key={part}>{part}</code> : <Text key={part} value={part} max={400} />))}
    </>
  );
}

/** What stands where an answer is still awaited, or failed. */
export function Waiting({ error }: { readonly error: CallError | null }) {
  if (error === null) return <p class="soft loading">{words().parts.loading}</p>;
  return (
    <p class="bad" role="alert">
      {error.status === 0 ? words().shell.gone : error.message}
    </p>
  );
}
