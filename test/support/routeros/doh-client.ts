import { Agent, request } from "node:https";
import { isIP } from "node:net";
import { buffer } from "node:stream/consumers";
import type { Clock } from "../../../src/lib/clock.ts";
import { type Answering, CachingForwarder } from "../caching-forwarder.ts";
import { queryWire, type Reply, readReply } from "../message.ts";
import { type Router, RouterError } from "./router.ts";

/** The types that the router keeps answers of: its cache knows none beyond SRV. */
const CACHED = ["A", "NS", "CNAME", "SOA", "PTR", "MX", "TXT", "AAAA", "SRV"];

/**
 * How the router asks: one DoH server over HTTP/1.1, a few connections, so many questions at a time, a deadline, and a cache in which NXDOMAIN
 * speaks for the whole name. The limits are those of /ip/dns, the trusted authorities those of /certificate. There is no fallback to `servers`
 * while a DoH server is set.
 */
export class RouterDohClient implements Answering {
  readonly #router: Router;
  readonly #clock: Clock;
  #cache: CachingForwarder;
  #agent: Agent | null = null;
  #agentKey = "";
  #pending = 0;
  #asking = 0;

  constructor(router: Router) {
    this.#router = router;
    this.#clock = router.clock;
    this.#cache = this.#emptyCache();
    router.onFlush = () => {
      this.#cache = this.#emptyCache();
    };
    router.resolve = (name) => this.resolve(name);
  }

  /** The reply to a client of the router. @throws RouterError where the client gets none. */
  async ask(name: string, type: string): Promise<Reply> {
    const { "max-concurrent-queries": limit } = this.#router.record("ip/dns");
    // Also what the cache holds is dropped.
    if (this.#pending >= Number(limit)) throw this.#failure("max concurrent queries reached");
    this.#pending++;
    try {
      return await this.#cache.ask(name, type);
    } finally {
      this.#pending--;
    }
  }

  /** What `:resolve` gives. @throws RouterError */
  async resolve(name: string): Promise<string> {
    const dns = this.#router.record("ip/dns");
    if (dns["use-doh-server"] === "" && dns["servers"] === "" && dns["dynamic-servers"] === "") throw this.#failure("no server");
    if (dns["use-doh-server"] === "") return "192.0.2.1";
    const [address] = (await this.ask(name, "A")).answers;
    if (address === undefined) throw new RouterError("failure: dns name does not exist");
    return address;
  }

  close(): void {
    this.#agent?.destroy();
  }

  #emptyCache(): CachingForwarder {
    return new CachingForwarder({ ask: (name, type) => this.#exchange(name, type) }, this.#clock, (type) =>
      CACHED.includes(type),
    );
  }

  async #exchange(name: string, type: string): Promise<Reply> {
    const dns = this.#router.record("ip/dns");
    if (this.#asking >= Number(dns["doh-max-concurrent-queries"])) throw this.#failure("DoH max concurrent queries reached");
    this.#asking++;
    try {
      return readReply(await this.#post(new URL(dns["use-doh-server"] ?? ""), queryWire(name, type, { id: 0, edns: null })));
    } finally {
      this.#asking--;
    }
  }

  #post(url: URL, body: Buffer): Promise<Buffer> {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const pins = this.#router.rows("ip/dns/static").filter((row) => row["name"] === host && row["disabled"] === "false");
    const address = isIP(host) === 0 ? pins[0]?.["address"] : host;
    if (address === undefined) return Promise.reject(this.#failure(`DoH server connection error: no address for ${host}`));
    const deadline = Promise.withResolvers<Buffer>();
    const posted = request(
      {
        host: address,
        port: url.port === "" ? 443 : url.port,
        path: url.pathname,
        method: "POST",
        agent: this.#connections(),
        // A server name that is an address is none (RFC 6066 §3).
        ...(isIP(host) === 0 ? { servername: host } : {}),
        headers: {
          host: url.host,
          accept: "application/dns-message",
          "content-type": "application/dns-message",
          "content-length": body.length,
        },
      },
      (response) => {
        if (response.statusCode === 200) buffer(response).then(deadline.resolve, deadline.reject);
        else deadline.reject(this.#failure(`DoH server responded with ${response.statusCode}`));
      },
    );
    const timer = this.#clock.setTimer(() => {
      deadline.reject(this.#failure("DoH server connection error: Idle timeout - waiting data"));
      posted.destroy();
    }, DOH_TIMEOUT_MS);
    posted.on("error", (error) => deadline.reject(this.#failure(`DoH server connection error: ${error.message}`)));
    posted.end(body);
    return deadline.promise.finally(() => timer.cancel());
  }

  #connections(): Agent {
    const { "doh-max-server-connections": limit, "verify-doh-cert": verify } = this.#router.record("ip/dns");
    const ca = this.#router.authorities();
    const key = JSON.stringify([limit, verify, ca]);
    if (this.#agent === null || key !== this.#agentKey) {
      this.#agent?.destroy();
      this.#agent = new Agent({ keepAlive: true, maxSockets: Number(limit), ca: [...ca], rejectUnauthorized: verify === "true" });
      this.#agentKey = key;
    }
    return this.#agent;
  }

  #failure(message: string): RouterError {
    this.#router.note("dns,error", message);
    return new RouterError(`failure: dns server failure (${message})`);
  }
}

/** The default of `doh-timeout`. */
const DOH_TIMEOUT_MS = 5000;
