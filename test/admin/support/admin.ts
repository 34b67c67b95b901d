import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { AdminOptions } from "../../../src/admin/options.ts";
import { type AdminServer, type AdminSetup, openAdmin } from "../../../src/admin/server.ts";
import { ADMIN_LIMITS, type AdminLimits } from "../../../src/admin/types.ts";
import { ClientsBehind } from "../../../src/listen/client-address.ts";
import { SOME_WALL_MS } from "../../log/records.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { ApiClient } from "./api-client.ts";
import { MemoryControl } from "./memory-control.ts";

export interface TestAdminSetup {
  readonly token?: string;
  readonly hosts?: readonly string[];
  readonly address?: string;
  readonly trustedProxies?: readonly string[];
  readonly limits?: Partial<AdminLimits>;
  readonly control?: MemoryControl;
  readonly pageFolder?: string;
}

/** A dashboard of two files. */
const FIXTURE_PAGE = fileURLToPath(new URL("../../fixtures/page", import.meta.url));

export interface Fault {
  readonly kind: string;
  readonly details: object;
}

/** The API over a server in memory, on a free port of the loopback interface, until the test ends. */
export async function openTestAdmin({
  token,
  hosts = [],
  address = "127.0.0.1",
  trustedProxies = [],
  limits,
  control = new MemoryControl(),
  pageFolder = FIXTURE_PAGE,
}: TestAdminSetup = {}) {
  // The records of the tests are from the second before.
  const clock = fakeClock(SOME_WALL_MS + 1000);
  const faults: Fault[] = [];
  const options = { now: { token: token ?? null, hosts } };
  const setup: AdminSetup = {
    endpoint: { address, port: 0 },
    options: () => options.now,
    control: () => control,
    clients: new ClientsBehind(trustedProxies),
    clock,
    report: (kind, details) => faults.push({ kind, details }),
    version: "0.0.0",
    limits: { ...ADMIN_LIMITS, ...limits },
    pageFolder,
  };
  const server = await openAdmin(setup);
  onTestFinished(async () => {
    const closing = server.close();
    // Responses that the test did not read to their end are cut off.
    await clock.advance(ADMIN_LIMITS.closeMs);
    await closing;
  });
  return new TestAdmin(server, { clock, control, faults, options });
}

interface Surroundings {
  readonly clock: FakeClock;
  readonly control: MemoryControl;
  readonly faults: readonly Fault[];
  /** A reload may change them. */
  readonly options: { now: AdminOptions };
}

/** The API over a server in memory, and a client of it. */
export class TestAdmin extends ApiClient {
  readonly server: AdminServer;
  readonly port: number;
  readonly clock: FakeClock;
  readonly control: MemoryControl;
  readonly faults: readonly Fault[];
  readonly options: Surroundings["options"];

  constructor(server: AdminServer, { clock, control, faults, options }: Surroundings) {
    const { address, port } = server.bound ?? { address: "nowhere", port: 0 };
    super(`http://${address.includes(":") ? `[${address}]` : address}:${port}`, () => options.now.token);
    this.server = server;
    this.port = port;
    this.clock = clock;
    this.control = control;
    this.faults = faults;
    this.options = options;
  }
}
