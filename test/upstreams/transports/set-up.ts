import { onTestFinished, vi } from "vitest";
import { type Answer, addressesOf } from "../../../src/dns/answer.ts";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import type { ProxyOptions, ServerOptions } from "../../../src/upstreams/options.ts";
import { openServer } from "../../../src/upstreams/server.ts";
import type { Attempt, ExchangeOptions, ServerContext, Upstream } from "../../../src/upstreams/upstream.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { type ScriptedProxy, scriptedProxy } from "../scripted-proxy.ts";
import { type Script, type ScriptedServer, type ScriptedTransport, scriptedServer, testCertificate } from "../scripted-server.ts";

/** A way to ask a server: each must keep the same promises. */
export interface Way {
  readonly title: string;
  readonly server: ScriptedTransport;
  readonly protocol: "udp" | "tcp" | "tls" | "https";
  readonly method: "GET" | "POST";
  readonly proxy: ProxyOptions["protocol"] | null;
}

const direct = [
  { title: "tcp", server: "dns", protocol: "tcp", method: "GET" },
  { title: "tls", server: "tls", protocol: "tls", method: "GET" },
  { title: "https h2 GET", server: "h2", protocol: "https", method: "GET" },
  { title: "https h2 POST", server: "h2", protocol: "https", method: "POST" },
  { title: "https h1 GET", server: "h1", protocol: "https", method: "GET" },
  { title: "https h1 POST", server: "h1", protocol: "https", method: "POST" },
] as const;

export const streamWays: readonly Way[] = direct.flatMap((way) => [
  { ...way, proxy: null },
  { ...way, title: `${way.title} through SOCKS5`, proxy: "socks5" as const },
  { ...way, title: `${way.title} through an HTTP proxy`, proxy: "http" as const },
]);

export const ways: readonly Way[] = [
  { title: "udp", server: "dns", protocol: "udp", method: "GET", proxy: null },
  { title: "udp, so tcp, through SOCKS5", server: "dns", protocol: "udp", method: "GET", proxy: "socks5" },
  ...streamWays,
];

export interface Site {
  readonly server: ScriptedServer;
  readonly proxy: ScriptedProxy | null;
  readonly upstream: Upstream;
}

export interface SiteOptions {
  readonly clock?: Clock;
  readonly changes?: Partial<ServerOptions>;
  readonly context?: Partial<ServerContext>;
  readonly maxStreams?: number;
  readonly address?: string;
}

/** A scripted server, a proxy where the way has one, and an upstream that leads there; all closed when the test ends. */
export async function site(
  way: Way,
  script: Script,
  { clock = systemClock, changes = {}, context = {}, ...rest }: SiteOptions = {},
): Promise<Site> {
  const server = await scriptedServer(way.server, script, { clock, ...rest });
  const proxy = way.proxy === null ? null : await scriptedProxy(way.proxy);
  const serverOptions = server.options({ protocol: way.protocol, method: way.method, ...changes });
  const upstream = openServer(serverOptions, { ...contextWith({ clock, proxy: proxy?.options() ?? null }), ...context });
  onTestFinished(async () => {
    await upstream.close();
    await proxy?.close();
    await server.close();
  });
  return { server, proxy, upstream };
}

export function contextWith(changes: Partial<ServerContext> = {}): ServerContext {
  return {
    clock: systemClock,
    bootstrap: { lookUp: (host) => Promise.reject(new Error(`nobody should look up ${host}`)) },
    proxy: null,
    ca: testCertificate,
    system: { resolvConf: "/nonexistent/resolv.conf", isOurs: () => false },
    ...changes,
  };
}

export interface CountingClock extends FakeClock {
  /** How many timers are pending. */
  readonly pending: () => number;
  /** For how long each of them was set. */
  readonly delays: () => readonly number[];
}

export function countingClock(clock: FakeClock = fakeClock()): CountingClock {
  const timers = new Map<symbol, number>();
  return {
    ...clock,
    setTimer(run, delayMs) {
      const key = Symbol("timer");
      timers.set(key, delayMs);
      const timer = clock.setTimer(() => {
        timers.delete(key);
        run();
      }, delayMs);
      return {
        cancel: () => {
          timers.delete(key);
          timer.cancel();
        },
      };
    },
    pending: () => timers.size,
    delays: () => [...timers.values()],
  };
}

export interface TestErrand extends ExchangeOptions {
  readonly attempts: Attempt[];
}

/** An errand with a generous deadline, so that a test that hangs says where. */
export function errand(signal: AbortSignal = AbortSignal.timeout(10_000)): TestErrand {
  return { signal, attempts: [], requester: null };
}

export function addressTexts(answer: Answer): string[] {
  return addressesOf(answer).map((bytes) => bytes.join("."));
}

/** Waits, by real time, until sockets have brought this about: longer than vitest's second, which a busy machine may take for anything. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitUntil(condition, { timeout: 10_000, interval: 5 });
}
