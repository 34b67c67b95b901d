import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CallError, call, heardAt, isGone, session, signInNeeded } from "./api/call.ts";
import { useCall } from "./api/use-call.ts";
import { go, goBack, route, useKeys } from "./navigation.ts";
import { HealthAnnouncement, HealthWord, useHealth } from "./pages/health.tsx";
import { Home } from "./pages/home.tsx";
import { Dialog } from "./parts/dialog.tsx";
import { Line } from "./parts/text.tsx";
import { ASK, CONFIG, QUERIES, type Route, urlOf } from "./routes.ts";
import { SignIn } from "./sign-in.tsx";
import { applyTheme, THEMES, type Theme, theme, useIsPhone } from "./theme.ts";
import { format, LANGUAGES, type Language, language, loadWords, words } from "./words/words.ts";

type PageName = Route["page"];

/** In the order of the navigation; on phones those after the third are under "More". */
const PLACES: readonly (readonly [page: PageName, key: string, route: Route])[] = [
  ["home", "h", { page: "home" }],
  ["problems", "p", { page: "problems", id: null }],
  ["queries", "q", QUERIES],
  ["ask", "a", ASK],
  ["house", "u", { page: "house", part: "upstreams" }],
  ["config", "c", CONFIG],
];
const ON_THE_BAR = 3;

/** Every view but the first comes when it is wanted. */
const LOADERS: Readonly<Record<Exclude<PageName, "home">, () => Promise<ComponentType>>> = {
  problems: async () => (await import("./pages/problems.tsx")).Problems,
  queries: async () => (await import("./pages/queries.tsx")).Queries,
  ask: async () => (await import("./pages/ask.tsx")).Ask,
  house: async () => (await import("./pages/house.tsx")).House,
  config: async () => (await import("./pages/config.tsx")).Configuration,
};
const loaded = new Map<PageName, ComponentType>([["home", Home]]);

/** What is around every view: navigation, the name box, the health word, the keys that work everywhere. */
export function Shell() {
  const [dialog, setDialog] = useState<"keys" | "more" | null>(null);
  const box = useRef<HTMLInputElement>(null);
  useHealth();
  useKeys({
    "/": () => box.current?.focus(),
    "?": () => setDialog("keys"),
    g: () => addEventListener("keydown", goByKey, { capture: true, once: true }),
    Escape: goBack,
  });
  const page = route.value?.page ?? null;
  return (
    <>
      <a class="skip" href="#main">
        {words().shell.skip}
      </a>
      <header class="top">
        <a class="brand" href="/">
          Fenliu <span lang="zh-CN">分流</span>
        </a>
        <NameBox box={box} />
        <Pauses />
        <HealthWord />
        <HealthAnnouncement />
      </header>
      <nav class="rail" aria-label={words().shell.navigation}>
        {PLACES.map(([each, , to], index) => (
          <a
            key={each}
            href={urlOf(to)}
            class={index < ON_THE_BAR ? "" : "desktop"}
            {...(page === each ? { "aria-current": "page" as const } : {})}
          >
            {words().pages[each]}
          </a>
        ))}
        <button type="button" class={isOnBar(page) ? "phone" : "phone here"} onClick={() => setDialog("more")}>
          {words().shell.more}
        </button>
        <div class="desktop rail-end">
          <Preferences />
          <button type="button" class="link" onClick={() => setDialog("keys")}>
            {words().shell.keys}
          </button>
          <a href="/docs">API</a>
        </div>
      </nav>
      <main id="main" tabIndex={-1} class={isGone.value ? "gone" : ""}>
        {isGone.value ? <Gone /> : null}
        <View page={page} />
      </main>
      {dialog === "keys" ? <Keys onClose={() => setDialog(null)} /> : null}
      {dialog === "more" ? (
        <Dialog title={words().shell.more} onClose={() => setDialog(null)}>
          <ul class="menu">
            {PLACES.slice(ON_THE_BAR).map(([each, , to]) => (
              <li key={each}>
                <a href={urlOf(to)} onClick={() => setDialog(null)}>
                  {words().pages[each]}
                </a>
              </li>
            ))}
            <li>
              <a href="/docs">API</a>
            </li>
          </ul>
          <Preferences />
        </Dialog>
      ) : null}
      {signInNeeded.value ? <SignIn /> : null}
    </>
  );
}

function isOnBar(page: PageName | null): boolean {
  return page === null || PLACES.findIndex(([each]) => each === page) < ON_THE_BAR;
}

/** The key after `g`: before any view sees it. */
function goByKey(event: KeyboardEvent): void {
  const place = PLACES.find(([, key]) => key === event.key);
  if (place === undefined) return;
  event.preventDefault();
  go(place[2]);
}

function View({ page }: { readonly page: PageName | null }) {
  const [, draw] = useState(0);
  const [failed, setFailed] = useState(false);
  const Page = page === null ? undefined : loaded.get(page);
  useEffect(() => {
    if (page === null || page === "home" || Page !== undefined) return;
    LOADERS[page]().then(
      (component) => {
        loaded.set(page, component);
        draw((count) => count + 1);
      },
      () => setFailed(true),
    );
  }, [page, Page]);
  if (page === null)
    return (
      <p class="empty">
        {words().shell.nowhere} <a href="/">{words().pages.home}</a>
      </p>
    );
  if (Page !== undefined) return <Page />;
  if (!failed) return null;
  // A new version of the server has other files.
  return (
    <p class="empty">
      {words().shell.renewed}{" "}
      <button type="button" class="link" onClick={() => location.reload()}>
        {words().shell.reload}
      </button>
    </p>
  );
}

function NameBox({ box }: { readonly box: { current: HTMLInputElement | null } }) {
  const isPhone = useIsPhone();
  return (
    <search class="name-box">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const name = box.current?.value.trim() ?? "";
          if (name === "") return;
          go({ ...ASK, name });
          box.current?.blur();
        }}
      >
        <input
          ref={box}
          type="search"
          class="mono"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          aria-label={words().shell.nameBox}
          placeholder={isPhone ? words().ask.name : words().shell.nameBox}
        />
      </form>
    </search>
  );
}

const PAUSES_MS = 5000;

/** Rules that are passed over at the moment: seen everywhere, ended by a press. */
function Pauses() {
  const { data, refresh } = useCall("listPauses", {}, { everyMs: PAUSES_MS, topics: ["config"], keep: true });
  const end = async (id: string) => {
    try {
      await call("endPause", { id });
    } catch (error) {
      // It may have ended by itself.
      if (!(error instanceof CallError)) throw error;
    }
    refresh();
  };
  return (
    <>
      {(data ?? []).map(({ id, rules, client, until }) => (
        <button key={id} type="button" class="pause" onClick={() => void end(id)} title={words().shell.endPause}>
          <span class="care">❚❚</span> <Line value={[rules.join(", "), ...(client === null ? [] : [client])].join(" · ")} /> ·{" "}
          {format.value.duration(Math.max(0, (Date.parse(until) - Date.now()) / 1000))}
        </button>
      ))}
    </>
  );
}

function Gone() {
  const time = heardAt.value;
  return (
    <p class="notice bad" role="status">
      ✕ {words().shell.gone} {time === null ? "" : words().shell.lastHeard(format.value.clock(time))}
    </p>
  );
}

const OWN_ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone;

function Preferences() {
  const { data: state, refresh } = useCall("getSession", {}, { keep: true });
  const signOut = async () => {
    try {
      await call("signOut", {});
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
    }
    refresh();
    // What is shown now is asked for again, and refused.
    session.value++;
  };
  return (
    <div class="preferences">
      <select
        aria-label={words().shell.language}
        value={language.value}
        onChange={({ currentTarget }) => void loadWords(currentTarget.value as Language)}
      >
        {LANGUAGES.map((each) => (
          <option key={each} value={each}>
            {each === "en" ? "English" : "简体中文"}
          </option>
        ))}
      </select>
      <select
        aria-label={words().shell.theme}
        value={theme.value}
        onChange={({ currentTarget }) => applyTheme(currentTarget.value as Theme)}
      >
        {THEMES.map((each) => (
          <option key={each} value={each}>
            {words().shell.themes[each]}
          </option>
        ))}
      </select>
      {state === null || state.zone === OWN_ZONE ? null : <p class="small soft">{words().shell.zone(OWN_ZONE, state.zone)}</p>}
      {state?.tokenNeeded === true && state.signedIn ? (
        <button type="button" class="link" onClick={() => void signOut()}>
          {words().signIn.out}
        </button>
      ) : null}
    </div>
  );
}

function Keys({ onClose }: { readonly onClose: () => void }) {
  const everywhere: readonly (readonly [string, string])[] = [
    ["/", words().shell.nameBox],
    ...PLACES.map(([page, key]) => [`g ${key}`, words().pages[page]] as const),
    ["?", words().shell.keys],
    ["Esc", words().shell.back],
  ];
  return (
    <Dialog title={words().shell.keys} onClose={onClose}>
      <dl class="keys">
        {[...everywhere, ...words().shell.viewKeys].map(([key, meaning]) => (
          <div key={`${key} ${meaning}`}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
