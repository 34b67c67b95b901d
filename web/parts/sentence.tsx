import { type SaidSentence, sayText } from "../words/said.ts";
import { Text } from "./text.tsx";

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
