import type { Control } from "../admin/control.ts";
import { type AdminServer, openAdmin } from "../admin/server.ts";
import type { Clock } from "../lib/clock.ts";
import { version } from "../lib/version.ts";
import { ClientsBehind } from "../listen/client-address.ts";
import type { Listeners } from "../listen/listeners.ts";
import type { Endpoint } from "../listen/options.ts";
import type { QueryLog } from "../log/query-log.ts";
import { metricsText, RisingCounts } from "../stats/metrics.ts";
import { ProcessWatch } from "../stats/process.ts";
import { type Server, ServerControl } from "./control.ts";
import { Drafts } from "./drafts.ts";
import { Explainer } from "./explainer.ts";
import type { Versions } from "./history.ts";
import type { QueryRecorder } from "./journal.ts";
import { querySourceOf } from "./query-source.ts";

/** The server at work, with all that is told of it. */
interface Administered extends Server {
  readonly recorder: QueryRecorder;
  /** The one that records go to at the moment. */
  readonly queryLog: QueryLog;
  readonly versions: Versions | null;
  readonly listenCounters: Listeners["counters"];
}

interface AdministrationSurroundings {
  readonly clock: Clock;
  /** Tells the operator of a kind of event, seldom. */
  readonly report: (kind: string, details: object) => void;
}

/** What shows the server to its people and takes their orders. */
export interface Administration {
  readonly control: Control;
  /** Where the API listens; null = nowhere. */
  readonly bound: Endpoint | null;
  /** May be called again. */
  close(): Promise<void>;
}

/** Opens the API where the configuration wants it. @throws AdminError */
export async function openAdministration(
  server: Administered,
  { clock, report }: AdministrationSurroundings,
): Promise<Administration> {
  const watch = new ProcessWatch(clock.wallMs);
  const drafts = new Drafts(clock);
  const control = controlOf(server, { clock, watch, drafts });
  const setup = {
    endpoint: server.state.config.listen.admin,
    options: () => server.state.config.admin,
    control: () => control,
    clients: new ClientsBehind(server.state.config.trustedProxies),
    clock,
    report,
    version: version(),
  };
  let api: AdminServer;
  try {
    api = await openAdmin(setup);
  } catch (error) {
    watch.close();
    throw error;
  }
  return {
    control,
    bound: api.bound,
    async close() {
      watch.close();
      // Whoever waits for what becomes of a draft is told, and not waited for.
      await Promise.all([api.close(), drafts.close()]);
    },
  };
}

interface ControlSurroundings {
  readonly clock: Clock;
  readonly watch: ProcessWatch;
  readonly drafts: Drafts;
}

function controlOf(server: Administered, { clock, watch, drafts }: ControlSurroundings): Control {
  const queries = querySourceOf({ queryLog: () => server.queryLog, journal: server.recorder });
  const explaining = new Explainer({ server, queries, drafts, versions: () => server.versions });
  const control: Control = new ServerControl({ server, queries, explaining, metrics });
  const counts = new RisingCounts();
  const build = { version: version(), node: process.version };
  return control;

  async function metrics(): Promise<string> {
    return metricsText({
      counters: server.recorder.counters,
      upstreams: control.upstreams(),
      cache: control.cacheStats(),
      lists: await control.lists(),
      refreshes: server.state.config.lists,
      log: server.queryLog.status(),
      listeners: server.listenCounters,
      process: watch.read(),
      reloads: server.reloads.read(),
      build,
      nowWallMs: clock.wallMs(),
      counts,
    });
  }
}
