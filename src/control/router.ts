import { readFile } from "node:fs/promises";
import { ControlError } from "../admin/control.ts";
import type { RouterCheck } from "../admin/schemas/router.ts";
import type { Config } from "../config/types.ts";
import type { HostsTable } from "../hosts/table.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import { fetchChain } from "../routeros/chain.ts";
import { examineRouter, FINDING_IDS, renderFixScript } from "../routeros/doctor.ts";
import type { RouterosOptions } from "../routeros/options.ts";
import { RouterRest } from "../routeros/rest.ts";
import type { RouterCheckMetrics } from "../stats/metrics.ts";
import { placeOf, serviceUrl } from "./client-setup.ts";
import { timeText } from "./views.ts";

/** The server, as far as a check of its router needs it. */
export interface RouterCheckParts {
  readonly config: () => Pick<Config, "routeros" | "listen">;
  readonly hosts: () => HostsTable;
  /** Whether the server has an answer with records. */
  readonly hasAnswer: (name: string, type: string) => Promise<boolean>;
  readonly clock: Clock;
}

/** How the router differs from what Fenliu needs. */
export interface RouterDrift {
  /** Why it could not be checked; null = it was. */
  readonly reason: string | null;
  readonly atWallMs: number;
  readonly findings: number;
  /** Where the first of them lies on the router. */
  readonly first: string | null;
}

/** Soon after the start, when the upstreams have answered. */
const FIRST_CHECK_MS = 60_000;

/** Checks the router of section `routeros`: when somebody asks, and now and then for the metrics. */
export class RouterWatch {
  readonly #parts: RouterCheckParts;
  #timer: Timer;
  #running: Promise<RouterCheck> | null = null;
  #last: { readonly check: RouterCheck | null; readonly reason: string | null; readonly atWallMs: number } | null = null;

  constructor(parts: RouterCheckParts) {
    this.#parts = parts;
    this.#timer = this.#schedule(FIRST_CHECK_MS);
  }

  /** Checks now; who asks meanwhile gets the same check. @throws ControlError `missing` without section `routeros`, `failed` if the router does not answer. */
  check(): Promise<RouterCheck> {
    this.#running ??= this.#check().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** What the last check came to; null = there is no router, or it was not checked yet. */
  read(): RouterDrift | null {
    if (this.#last === null || this.#parts.config().routeros === null) return null;
    const { check, reason, atWallMs } = this.#last;
    const [first] = check?.findings ?? [];
    const shown = first === undefined ? null : `${first.menu} ${first.field}`.trim();
    return { reason, atWallMs, findings: check?.findings.length ?? 0, first: shown };
  }

  /** null = there is no router, or it was not checked yet. */
  metrics(): RouterCheckMetrics | null {
    if (this.#last === null || this.#parts.config().routeros === null) return null;
    const { check, atWallMs } = this.#last;
    const found = new Set<string>(check?.findings.map(({ id }) => id));
    return { succeeded: check !== null, atWallMs, findings: FINDING_IDS.map((id) => ({ id, isFound: found.has(id) })) };
  }

  close(): void {
    this.#timer.cancel();
  }

  #schedule(delayMs: number): Timer {
    return this.#parts.clock.setTimer(() => {
      const { routeros } = this.#parts.config();
      if (routeros?.checkMs != null && routeros.doh !== null) this.check().catch(() => {});
      this.#timer = this.#schedule(routeros?.checkMs ?? FIRST_CHECK_MS);
    }, delayMs);
  }

  async #check(): Promise<RouterCheck> {
    const { clock } = this.#parts;
    try {
      const check = await this.#examine();
      this.#last = { check, reason: null, atWallMs: clock.wallMs() };
      return check;
    } catch (error) {
      this.#last = { check: null, reason: errorText(error), atWallMs: clock.wallMs() };
      throw error;
    }
  }

  async #examine(): Promise<RouterCheck> {
    const { config, hosts, hasAnswer, clock } = this.#parts;
    const { routeros, listen } = config();
    if (routeros === null) throw new ControlError("missing", "there is no section `routeros` that says which router to check");
    const url = serviceUrlOf(routeros, listen.dohPath);
    const { addresses } = placeOf(url, hosts());
    const client = await openRest(routeros, clock);
    try {
      const seen = await fetchChain(url, addresses[0] ?? null).then(
        (chain) => ({ chain, chainFault: null }),
        (error: unknown) => ({ chain: [], chainFault: errorText(error) }),
      );
      const lists = routeros.addressLists.map(({ list }) => list);
      const nowWallMs = clock.wallMs();
      const { version, findings, notes } = await examineRouter(client, { url, addresses, ...seen, lists, nowWallMs, hasAnswer });
      return {
        version,
        checked: timeText(nowWallMs),
        findings,
        notes,
        fix: findings.length === 0 ? "" : renderFixScript(findings),
      };
    } catch (error) {
      throw error instanceof ControlError ? error : new ControlError("failed", errorText(error));
    } finally {
      client.close();
    }
  }
}

/** @throws ControlError where a file of the section cannot be read. */
async function openRest(options: RouterosOptions, clock: Clock): Promise<RouterRest> {
  const { url, ca: caFile, fingerprint, reader } = options;
  const { user, passwordFile } = reader ?? options;
  try {
    const [password = ""] = (await readFile(passwordFile, "utf8")).split(/\r?\n/);
    const ca = caFile === null ? null : await readFile(caFile, "utf8");
    return new RouterRest({ url, user, password, ca, fingerprint }, clock);
  } catch (error) {
    throw new ControlError("failed", `routeros: ${errorText(error)}`);
  }
}

function serviceUrlOf({ doh }: RouterosOptions, dohPath: string): URL {
  if (doh === null)
    throw new ControlError("missing", "`routeros.doh` does not say where the router reaches Fenliu: https://doh.example.com");
  const url = serviceUrl(doh);
  if (typeof url === "string") throw new ControlError("missing", `routeros.doh: ${url}`);
  if (url.pathname === "/") url.pathname = dohPath;
  return url;
}
