import type { Clock } from "../../src/lib/clock.ts";
import { type Reply, readReply } from "./message.ts";

/** A server that answers queries, such as a `TestSite`. */
export interface Answering {
  ask(name: string, type: string): Promise<Reply>;
}

interface Entry {
  readonly reply: Reply;
  readonly expiresMs: number;
}

/**
 * A forwarder that caches as the RFCs allow, such as stands in a router: positives by type for their TTL, NODATA by type and NXDOMAIN for
 * the whole name (RFC 2308 §5) and all below it (RFC 8020 §2), for the smaller of the SOA's TTL and MINIMUM. NXDOMAIN drops what it held
 * of the name. Failures are not held.
 */
export class CachingForwarder implements Answering {
  readonly #upstream: Answering;
  readonly #clock: Clock;
  readonly #caches: (type: string) => boolean;
  readonly #byType = new Map<string, Entry>();
  readonly #denied = new Map<string, Entry>();

  /** @param caches whether answers of a type are held at all; NXDOMAIN is held whatever the type. */
  constructor(upstream: Answering, clock: Clock, caches: (type: string) => boolean = () => true) {
    this.#upstream = upstream;
    this.#caches = caches;
    this.#clock = clock;
  }

  async ask(name: string, type: string): Promise<Reply> {
    const held = this.#deniedAt(name) ?? this.#live(this.#byType.get(`${name} ${type}`));
    if (held !== null) return held;
    const reply = readReply((await this.#upstream.ask(name, type)).wire);
    this.#keep(name, type, reply);
    return reply;
  }

  #keep(name: string, type: string, reply: Reply): void {
    const seconds = reply.answers.length > 0 ? (reply.ttl ?? 0) : Math.min(reply.soa?.ttl ?? 0, reply.soa?.minimum ?? 0);
    const entry = { reply, expiresMs: this.#clock.now() + seconds * 1000 };
    if (reply.rcode === "NXDOMAIN") {
      this.#denied.set(name, entry);
      for (const key of this.#byType.keys()) if (key.startsWith(`${name} `)) this.#byType.delete(key);
    } else if (reply.rcode === "NOERROR" && this.#caches(type)) {
      this.#byType.set(`${name} ${type}`, entry);
    }
  }

  #deniedAt(name: string): Reply | null {
    const labels = name.split(".");
    for (let skipped = 0; skipped < labels.length; skipped++) {
      const reply = this.#live(this.#denied.get(labels.slice(skipped).join(".")));
      if (reply !== null) return reply;
    }
    return null;
  }

  #live(entry: Entry | undefined): Reply | null {
    return entry !== undefined && this.#clock.now() < entry.expiresMs ? entry.reply : null;
  }
}
