import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import { type Listeners, type ListenersContext, openListeners } from "../../../src/listen/listeners.ts";
import type { ListenOptions } from "../../../src/listen/options.ts";
import type { Handler, HandlerReply } from "../../../src/listen/types.ts";
import { NOWHERE } from "../../support/nowhere.ts";

export const tlsFixture = (name: string): string => fileURLToPath(new URL(`../../fixtures/tls/${name}`, import.meta.url));

export const ON_LOOPBACK = [{ address: "127.0.0.1", port: 0 }];

/** Everything but `answer` of a handler; what is shed gets its id back alone, JSON questions are answered with their parameters. */
export function handlerOf(answer: Handler["answer"]): Handler {
  return {
    answer,
    shed: (wire) => ({ wire: wire.slice(0, 2), maxAgeSeconds: null }),
    mayConnect: () => true,
    answerJson: async (parameters) => ({ kind: "ok", body: JSON.stringify([...parameters]), maxAgeSeconds: 7 }),
  };
}

/** Gives back what it is asked. */
export const echo: Handler = handlerOf((wire) => ({ wire, maxAgeSeconds: 60 }));

/**
 * A handler that answers when `reply` is called, or gives back what it is asked where `isSlow` says no. `begun` is resolved by the first slow
 * question.
 */
export function slowHandler(isSlow: (wire: Uint8Array) => boolean = () => true) {
  const first = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<HandlerReply>();
  const handler = handlerOf((wire) => {
    if (!isSlow(wire)) return { wire, maxAgeSeconds: null };
    first.resolve();
    return answer.promise;
  });
  return { handler, begun: first.promise, reply: answer.resolve };
}

export interface SiteOptions extends Partial<ListenersContext> {
  readonly listen?: Partial<ListenOptions>;
  readonly trustedProxies?: readonly string[];
  readonly handler?: Handler;
}

/** Listeners of every kind on 127.0.0.1, closed at the end of the test. */
export async function openSite({
  listen,
  trustedProxies = [],
  handler = echo,
  ...surroundings
}: SiteOptions = {}): Promise<Listeners> {
  const listeners = await openListeners(
    {
      listen: { ...NOWHERE, dns: ON_LOOPBACK, tls: ON_LOOPBACK, https: ON_LOOPBACK, http: ON_LOOPBACK, ...listen },
      tls: { cert: tlsFixture("cert.pem"), key: tlsFixture("key.pem"), name: null },
      trustedProxies,
    },
    handler,
    { clock: systemClock, ...surroundings },
  );
  onTestFinished(() => listeners.close(0));
  return listeners;
}

export function portOf(listeners: Listeners, kind: keyof Listeners["bound"]): number {
  const [endpoint] = listeners.bound[kind];
  if (endpoint === undefined) throw new Error(`nothing is bound for ${kind}`);
  return endpoint.port;
}

/** A message with this number as its id, and some bytes behind the header to tell messages apart. */
export function messageOf(id: number, sizeBytes = 40): Uint8Array {
  const message = new Uint8Array(sizeBytes).map((_, at) => (id * 31 + at) & 0xff);
  message[0] = id >> 8;
  message[1] = id & 0xff;
  return message;
}

export function idOf(message: Uint8Array): number {
  return (message[0] ?? 0) * 256 + (message[1] ?? 0);
}
