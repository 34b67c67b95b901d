import { readFile } from "node:fs/promises";
import type { Clock } from "../lib/clock.ts";
import { type OperationsLog, throttle } from "../log/operations.ts";
import { AddressListFeeder } from "./address-lists.ts";
import type { RouterosOptions } from "./options.ts";
import { RouterRefusal, RouterRest, textIn } from "./rest.ts";

interface LinkParts {
  readonly clock: Clock;
  readonly log: OperationsLog;
  /** Used where the configuration names no `ca`; null = what the process trusts. */
  readonly ca: string | null;
  /** Is told that the router has lost addresses of answers that it was told of. Must not throw. */
  readonly onLoss: () => void;
}

/** Changes that follow one another drop the cache of the router once. */
const FLUSH_MS = 1000;

/** What the running server does at the router that section `routeros` names. `app/` opens it. */
export class RouterLink {
  /** null = no rule feeds an address list. */
  readonly feeder: AddressListFeeder | null;
  readonly #options: RouterosOptions;
  readonly #parts: LinkParts;
  readonly #rest: RouterRest;
  /** Of the reading account, where there is one: the router serves the calls of one user one after the other, and replies wait for entries of lists. */
  readonly #reader: RouterRest;
  readonly #warn: (kind: string, details: object) => void;
  #isFlushDue = false;

  private constructor(
    options: RouterosOptions,
    parts: LinkParts,
    { openRest, openReader }: { readonly openRest: () => RouterRest; readonly openReader: () => RouterRest },
  ) {
    this.#options = options;
    this.#parts = parts;
    this.#rest = openRest();
    this.#reader = openReader();
    this.#warn = throttle(parts.clock.now, (kind, details) => parts.log.warn(details, kind));
    // Entries go over a connection of their own, so that they wait for nothing else.
    this.feeder = options.addressLists.length === 0 ? null : new AddressListFeeder(options, { ...parts, rest: openRest() });
  }

  /** @throws the system's error where a file cannot be read. */
  static async open(options: RouterosOptions, parts: LinkParts): Promise<RouterLink> {
    const { url, fingerprint, reader } = options;
    const ca = options.ca === null ? parts.ca : await readFile(options.ca, "utf8");
    const opener = async ({ user, passwordFile }: Pick<RouterosOptions, "user" | "passwordFile">) => {
      const [password = ""] = (await readFile(passwordFile, "utf8")).split(/\r?\n/);
      return () => new RouterRest({ url, user, password, ca, fingerprint }, parts.clock);
    };
    return new RouterLink(options, parts, { openRest: await opener(options), openReader: await opener(reader ?? options) });
  }

  /** Has the router forget what it was answered, where the configuration wants that. */
  noteChange(): void {
    if (!this.#options.flush || this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#parts.clock.setTimer(() => void this.#flush(), FLUSH_MS);
  }

  /** What the router knows of the devices behind it, as it is written there. @throws RouterRefusal */
  async devices(): Promise<readonly { readonly address: string; readonly mac: string; readonly name: string }[]> {
    const read = (menu: string, fields: string) => this.#reader.call("GET", `${menu}?.proplist=address,mac-address${fields}`);
    const replies = [
      await read("ip/dhcp-server/lease", ",host-name,comment"),
      await read("ip/arp", ""),
      // A router without IPv6 has no such menu.
      await read("ipv6/neighbor", "").catch(() => []),
    ];
    return replies.flat().map((row) => ({
      address: textIn(row, "address") ?? "",
      mac: textIn(row, "mac-address") ?? "",
      // A comment is what people call the device.
      name: textIn(row, "comment") ?? textIn(row, "host-name") ?? "",
    }));
  }

  async close(): Promise<void> {
    this.#rest.close();
    this.#reader.close();
    await this.feeder?.close();
  }

  async #flush(): Promise<void> {
    this.#isFlushDue = false;
    if (this.#options.dryRun) return this.#parts.log.info("routeros: dry run: the router's DNS cache would be dropped");
    try {
      await this.#rest.call("POST", "ip/dns/cache/flush", {});
      this.#parts.log.info("routeros: the router's DNS cache was dropped");
    } catch (error) {
      if (!(error instanceof RouterRefusal)) throw error;
      this.#warn("routeros: the router's DNS cache could not be dropped", { reason: error.message });
    }
  }
}
