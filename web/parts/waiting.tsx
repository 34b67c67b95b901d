import type { CallError } from "../api/call.ts";
import { words } from "../words/words.ts";

/** What stands where an answer is still awaited, or failed. */
export function Waiting({ error }: { readonly error: CallError | null }) {
  if (error === null) return <p class="soft loading">{words().parts.loading}</p>;
  return (
    <p class="bad" role="alert">
      {error.status === 0 ? words().shell.gone : error.message}
    </p>
  );
}
