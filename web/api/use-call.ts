import { useEffect, useRef, useState } from "preact/hooks";
import { CallError, call, session } from "./call.ts";
import type { Calls, Operation } from "./calls.ts";
import { changed, isLive, type Topic } from "./events.ts";

export interface Answered<T> {
  /** The last answer, also when a later call failed; null = none yet. */
  readonly data: T | null;
  /** Why the last call failed; null = it did not. */
  readonly error: CallError | null;
  readonly isLoading: boolean;
  readonly refresh: () => void;
}

interface Options {
  /** How often to ask again while the page is visible; null = once. */
  readonly everyMs?: number | null;
  /** What it depends on: it is asked for again when the server tells of a change, and at intervals only while the server does not. */
  readonly topics?: readonly Topic[];
  /** Whether what is shown for another input stays until the answer comes. */
  readonly keep?: boolean;
}

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;
/** Of what the server tells: some of it changes by time alone. */
const TOLD_MS = 60_000;

/** Calls when the input changes, again at each interval, and after a failure at growing intervals. @param input null = do not call. */
export function useCall<K extends Operation>(
  operation: K,
  input: Calls[K]["input"] | null,
  { everyMs = null, topics = [], keep = false }: Options = {},
): Answered<Calls[K]["output"]> {
  const key = JSON.stringify(input);
  const [state, setState] = useState<{ key: string; data: Calls[K]["output"] | null; error: CallError | null }>({
    key,
    data: null,
    error: null,
  });
  const [round, setRound] = useState(0);
  const retryMs = useRef(FIRST_RETRY_MS);
  const signedIn = session.value;
  const changes = topics.map((topic) => changed[topic].value).join();
  const isTold = topics.length > 0 && isLive.value;

  useEffect(() => {
    if (input === null) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = (ms: number) => {
      timer = setTimeout(() => (document.hidden ? again(ms) : setRound((before) => before + 1)), ms);
    };
    call(operation, input, abort.signal).then(
      (data) => {
        retryMs.current = FIRST_RETRY_MS;
        setState({ key, data, error: null });
        if (everyMs !== null) again(isTold ? Math.max(everyMs, TOLD_MS) : everyMs);
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        if (!(error instanceof CallError)) throw error;
        setState((before) => ({ key, data: before.key === key || keep ? before.data : null, error }));
        // Another try does not help where the server refuses the call itself.
        if (error.status >= 400 && error.status < 500 && error.status !== 429) return;
        again(retryMs.current);
        retryMs.current = Math.min(retryMs.current * 2, LAST_RETRY_MS);
      },
    );
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [operation, key, round, signedIn, everyMs, changes, isTold]);

  const isCurrent = state.key === key;
  return {
    data: isCurrent || keep ? state.data : null,
    error: isCurrent ? state.error : null,
    isLoading: !isCurrent || (state.data === null && state.error === null),
    refresh: () => setRound((before) => before + 1),
  };
}
