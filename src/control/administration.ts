import type { Control } from "../admin/control.ts";
import { type AdminServer, openAdmin } from "../admin/server.ts";
import type { Clock } from "../lib/clock.ts";
import { version } from "../lib/version.ts";
import { ClientsBehind } from "../listen/client-address.ts";
import { descriptorOf, type Inheritance, type SharedSocket } from "../listen/inheritance.ts";
import type { Endpoint } from "../listen/options.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { ServerState } from "../server/state.ts";
import { ProcessWatch } from "../stats/process.ts";
import { type Server, ServerControl } from "./control.ts";
import { Drafts } from "./drafts.ts";

interface AdministrationParts {
  readonly clock: Clock;
  readonly log: OperationsLog;
  readonly inherited: Inheritance | null;
  /** Tells the operator about a kind of event, at most now and then. */
  readonly report: (kind: string, details: object) => void;
}

/** The control of the server, and the API that gives people access to it. */
export interface Administration {
  readonly control: Control;
  /** The address of the API; null = there is no API. */
  readonly bound: Endpoint | null;
  shareSockets(): readonly SharedSocket[];
  /** Notes that this state serves from now on. */
  use(state: ServerState): void;
  /** May be called again. */
  close(): Promise<void>;
}

/** Opens the API if the configuration wants one. @throws AdminError */
export async function openAdministration(
  server: Server,
  { clock, log, report, inherited }: AdministrationParts,
): Promise<Administration> {
  const watch = new ProcessWatch(clock.wallMs);
  const drafts = new Drafts(clock);
  const control = new ServerControl(server, { clock, watch, drafts, log, report });
  const endpoint = server.state.config.listen.admin;
  const setup = {
    endpoint,
    options: () => server.state.config.admin,
    control: () => control,
    clients: new ClientsBehind(server.state.config.trustedProxies),
    clock,
    report,
    version: version(),
    descriptor: endpoint === null ? null : (inherited?.takeDescriptor("admin", endpoint) ?? null),
  };
  let api: AdminServer;
  try {
    api = await openAdmin(setup);
  } catch (error) {
    watch.close();
    await control.close();
    throw error;
  }
  return {
    control,
    bound: api.bound,
    shareSockets() {
      const { bound, listener } = api;
      return bound === null || listener === null ? [] : [{ purpose: "admin", bound, socket: descriptorOf(listener) }];
    },
    use: (state) => control.use(state),
    async close() {
      watch.close();
      // The API waits for requests under way; a request about a draft ends when `drafts` closes.
      await Promise.all([api.close(), drafts.close()]);
      await control.close();
    },
  };
}
