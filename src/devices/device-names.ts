import { readFile, stat } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { canonicalAddress } from "../dns/address.ts";
import type { Client } from "../lib/client.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";

/**
 * Names of devices, section `devices`: which device an address belongs to, by lease files and by what the router tells. `server/pipeline.ts` names the client
 * of every query, so that rules, log and statistics know it; `control/` shows the names.
 */

/** What a source tells of one address. */
export interface KnownDevice {
  readonly address: string;
  /** In the form of a client id: `living-room-tv`; null = not known. */
  readonly name: string | null;
  /** `aa:bb:cc:dd:ee:ff`; null = not known. */
  readonly mac: string | null;
  /** The path of a lease file, or `router`. */
  readonly source: string;
}

/** One row of the router, as it is written there; empty = the row has none. */
export interface RouterDevice {
  readonly address: string;
  readonly mac: string;
  readonly name: string;
}

interface DeviceNamesParts {
  readonly clock: Clock;
  readonly leases: readonly string[];
  /** What the router tells; null = it is not asked. Rejects where it cannot be asked. */
  readonly askRouter: (() => Promise<readonly RouterDevice[]>) | null;
  /** The router's own addresses: what they ask, clients behind the router have asked; empty = not known. */
  readonly routerAddresses: readonly string[];
  /** Tells the operator, at most now and then. */
  readonly warn: (kind: string, details: object) => void;
}

const READ_MS = 10_000;
const ASK_MS = 60_000;

/** A lease file of a house has a few kilobytes. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Addresses that are known; further ones are left out. */
const MAX_DEVICES = 20_000;

export class DeviceNames {
  /** Called when what is known has changed. */
  onChange: () => void = () => {};
  readonly #parts: DeviceNamesParts;
  readonly #files = new Map<string, { readonly stamp: string; readonly devices: readonly KnownDevice[] }>();
  #byRouter: readonly KnownDevice[] = [];
  #known: ReadonlyMap<string, KnownDevice> = new Map();
  #isAskedByRouter = false;
  #timers: readonly Timer[] = [];
  #isClosed = false;

  private constructor(parts: DeviceNamesParts) {
    this.#parts = parts;
  }

  /** Reads the files once. The router is asked afterwards: a start does not wait for it. */
  static async open(parts: DeviceNamesParts): Promise<DeviceNames> {
    const names = new DeviceNames(parts);
    await names.#readFiles();
    names.#every(READ_MS, () => names.#readFiles());
    if (parts.askRouter !== null) {
      void names.#askRouter();
      names.#every(ASK_MS, () => names.#askRouter());
    }
    return names;
  }

  /** The client with what is known of its device: without an id of its own the name is its id. */
  identify(client: Client): Client {
    const known = this.#known.get(client.address);
    if (known === undefined) {
      if (!this.#isAskedByRouter && this.#parts.routerAddresses.includes(client.address)) this.#tellOfRouter(client.address);
      return client;
    }
    const clientId = client.clientId ?? known.name;
    return known.mac === null ? { ...client, clientId } : { ...client, clientId, mac: known.mac };
  }

  of(address: string): KnownDevice | null {
    return this.#known.get(address) ?? null;
  }

  /** Whether queries come from the router, which asks for those behind it. */
  isRouter(address: string): boolean {
    return this.#parts.routerAddresses.includes(address);
  }

  list(): readonly KnownDevice[] {
    return [...this.#known.values()];
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) timer.cancel();
  }

  #every(ms: number, run: () => Promise<void>): void {
    let timer: Timer;
    const schedule = (): Timer =>
      this.#parts.clock.setTimer(() => {
        void run().finally(() => {
          if (!this.#isClosed) timer = schedule();
        });
      }, ms);
    timer = schedule();
    this.#timers = [...this.#timers, { cancel: () => timer.cancel() }];
  }

  async #readFiles(): Promise<void> {
    let isChanged = false;
    for (const path of this.#parts.leases) {
      try {
        const { size, mtimeMs } = await stat(path);
        const stamp = `${size} ${mtimeMs}`;
        if (this.#files.get(path)?.stamp === stamp) continue;
        if (size > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`);
        this.#files.set(path, { stamp, devices: readLeases(await readFile(path, "utf8"), path) });
        isChanged = true;
      } catch (error) {
        // What was read before holds on: the file may just be written.
        this.#parts.warn("devices: a lease file cannot be read", { file: path, reason: errorText(error) });
      }
    }
    if (isChanged) this.#merge();
  }

  async #askRouter(): Promise<void> {
    try {
      const rows = (await this.#parts.askRouter?.()) ?? [];
      this.#byRouter = rows.flatMap(({ address: written, mac, name }) => {
        const address = canonicalAddress(written);
        return address === null ? [] : [{ address, name: deviceNameOf(name), mac: macOf(mac), source: "router" }];
      });
      this.#merge();
    } catch (error) {
      this.#parts.warn("devices: the router does not tell its leases", { reason: errorText(error) });
    }
  }

  /** Files go before the router. A device keeps its name at its other addresses, which leases do not have: the MAC tells. */
  #merge(): void {
    const all = [...[...this.#files.values()].flatMap(({ devices }) => devices), ...this.#byRouter];
    const names = new Map<string, string>();
    for (const { mac, name } of all) if (mac !== null && name !== null && !names.has(mac)) names.set(mac, name);
    const known = new Map<string, KnownDevice>();
    for (const client of all) {
      if (known.size >= MAX_DEVICES) break;
      const before = known.get(client.address);
      const mac = before?.mac ?? client.mac;
      const name = before?.name ?? client.name ?? (mac === null ? null : (names.get(mac) ?? null));
      known.set(client.address, { address: client.address, name, mac, source: before?.source ?? client.source });
    }
    if (isDeepStrictEqual(known, this.#known)) return;
    this.#known = known;
    this.onChange();
  }

  #tellOfRouter(address: string): void {
    this.#isAskedByRouter = true;
    this.#parts.warn("devices: the router asks for those behind it, so that they cannot be told apart", {
      router: address,
      fix: "have DHCP give them the address of Fenliu: /ip/dhcp-server/network set [find] dns-server=ADDRESS",
    });
  }
}

/**
 * Reads a lease file of dnsmasq: `EXPIRY MAC ADDRESS NAME CLIENT-ID`, and below a line `duid …` the same for DHCPv6 with an IAID in place of the MAC. Lines
 * of another form are passed over.
 */
export function readLeases(text: string, source: string): readonly KnownDevice[] {
  return text.split("\n").flatMap((line) => {
    const [expiry = "", hardware = "", written = "", name = ""] = line.split(" ");
    const address = canonicalAddress(written);
    if (!/^\d+$/.test(expiry) || address === null) return [];
    return [{ address, name: deviceNameOf(name), mac: macOf(hardware), source }];
  });
}

/** `aa:bb:cc:dd:ee:ff`; null where the text is no MAC address. dnsmasq puts the type of hardware other than Ethernet before it. */
function macOf(text: string): string | null {
  const plain = text.replace(/^\d\d-/, "").toLowerCase();
  return /^[\da-f]{2}(:[\da-f]{2}){5}$/.test(plain) ? plain : null;
}

/** The name of a device in the form of a client id; null where nothing is left of it. */
function deviceNameOf(text: string): string | null {
  const id = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 63);
  return id === "" ? null : id;
}
