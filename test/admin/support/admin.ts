import { onTestFinished } from "vitest";
import { type AdminServer, type AdminSetup, openAdmin } from "../../../src/admin/admin-server.ts";
import { ADMIN_LIMITS, type AdminLimits } from "../../../src/admin/limits.ts";
import type { AdminOptions } from "../../../src/admin/options.ts";
import { type FakeClock, fakeClock } from "../../fake-clock.ts";
import { ApiDocument } from "./api-document.ts";
import { MemoryControl } from "./memory-control.ts";

export interface TestAdminSetup {
  readonly token?: string;
  readonly hosts?: readonly string[];
  readonly address?: string;
  readonly limits?: Partial<AdminLimits>;
  readonly control?: MemoryControl;
}

export interface Fault {
  readonly kind: string;
  readonly details: object;
}

/** The API over a server in memory, on a free port of the loopback interface, until the test ends. */
export async function openTestAdmin({
  token,
  hosts = [],
  address = "127.0.0.1",
  limits,
  control = new MemoryControl(),
}: TestAdminSetup = {}) {
  const clock = fakeClock();
  const faults: Fault[] = [];
  const options = { now: { token: token ?? null, hosts } };
  const setup: AdminSetup = {
    endpoint: { address, port: 0 },
    options: () => options.now,
    control: () => control,
    clock,
    report: (kind, details) => faults.push({ kind, details }),
    version: "0.0.0",
    limits: { ...ADMIN_LIMITS, ...limits },
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

export interface Call extends RequestInit {
  /** What is sent as JSON. */
  readonly json?: unknown;
}

/** A client of the API that holds every response against the document. */
export class TestAdmin {
  readonly server: AdminServer;
  readonly clock: FakeClock;
  readonly control: MemoryControl;
  readonly faults: readonly Fault[];
  readonly options: Surroundings["options"];
  #document: Promise<ApiDocument> | null = null;

  constructor(server: AdminServer, { clock, control, faults, options }: Surroundings) {
    this.server = server;
    this.clock = clock;
    this.control = control;
    this.faults = faults;
    this.options = options;
  }

  get port(): number {
    if (this.server.bound === null) throw new Error("it listens nowhere");
    return this.server.bound.port;
  }

  get base(): string {
    const { address = "" } = this.server.bound ?? {};
    return `http://${address.includes(":") ? `[${address}]` : address}:${this.port}`;
  }

  document(): Promise<ApiDocument> {
    this.#document ??= fetch(`${this.base}/openapi.json`).then(async (response) => new ApiDocument(await response.json()));
    return this.#document;
  }

  /** Calls with the token, if one is set. @throws Error where the response is not as the document has it. */
  async call(
    method: string,
    path: string,
    { json, headers, ...init }: Call = {},
  ): Promise<{ readonly status: number; readonly headers: Headers; readonly body: unknown }> {
    const response = await fetch(this.base + path, {
      method,
      ...init,
      headers: {
        ...(method === "GET" || method === "HEAD" ? {} : { "content-type": "application/json" }),
        ...(this.options.now.token === null ? {} : { authorization: `Bearer ${this.options.now.token}` }),
        ...Object.fromEntries(new Headers(headers)),
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
    const text = await response.text();
    const type = response.headers.get("content-type") ?? "";
    const body = /\bjson\b/.test(type) && !type.includes("ndjson") && text !== "" ? JSON.parse(text) : text;
    (await this.document()).check({ method, path, status: response.status, type, body });
    return { status: response.status, headers: response.headers, body };
  }

  get(path: string, call: Call = {}) {
    return this.call("GET", path, call);
  }
}
