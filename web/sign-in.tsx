import { useState } from "preact/hooks";
import { CallError, call, session, signInNeeded } from "./api/call.ts";
import { Dialog } from "./parts/dialog.tsx";
import { words } from "./words/words.ts";

/** Trades the token for a session: the browser keeps a cookie, never the token. */
export function SignIn() {
  const [problem, setProblem] = useState<string | null>(null);
  const [token, setToken] = useState("");
  const submit = async () => {
    try {
      await call("signIn", { body: { token } });
      signInNeeded.value = false;
      session.value++;
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      setProblem(error.status === 401 ? words().signIn.wrong : error.message);
    }
  };
  return (
    <Dialog title={words().signIn.title} onClose={null}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <p class="soft">{words().signIn.why}</p>
        <label class="field">
          <span>{words().signIn.token}</span>
          <input
            type="password"
            autocomplete="current-password"
            value={token}
            onInput={({ currentTarget }) => setToken(currentTarget.value)}
          />
        </label>
        {problem === null ? null : (
          <p class="bad" role="alert">
            {problem}
          </p>
        )}
        <button type="submit" class="primary" disabled={token === ""}>
          {words().signIn.button}
        </button>
      </form>
    </Dialog>
  );
}
