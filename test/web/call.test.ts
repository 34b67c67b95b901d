import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { CallError, call, isGone } from "../../web/api/call.ts";

afterEach(() => void vi.unstubAllGlobals());

/** Lets the page call a server that sends half an answer. @param then with the rest of it, when the page has begun to read. */
async function halfAnswered(then: (response: ServerResponse) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": 1000 });
    response.write('{"records": [');
    resolve(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const { fetch } = globalThis;
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}${url}`, init);
    const sent = await promise;
    setImmediate(() => then(sent));
    return response;
  });
}

describe("an answer that is half there", () => {
  test("and given up is none, not an empty one", async () => {
    const abort = new AbortController();
    await halfAnswered(() => abort.abort());
    await expect(call("searchQueries", {}, abort.signal)).rejects.toMatchObject({ name: "AbortError" });
    expect(isGone.value).toBe(false);
  });

  test("and breaks off means that nobody answered", async () => {
    await halfAnswered((response) => response.destroy());
    await expect(call("searchQueries", {})).rejects.toEqual(new CallError(0, ""));
    expect(isGone.value).toBe(true);
  });
});
