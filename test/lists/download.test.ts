import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { type DownloadRequest, type DownloadTarget, download } from "../../src/lists/download.ts";
import { collectGarbage } from "../support/collect-garbage.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { downloaded, type Page, testFetcher, until, web } from "./web.ts";

interface Setup {
  readonly clock?: FakeClock;
  readonly order?: Partial<DownloadRequest>;
}

function fetchTo(path: string, url: string, { clock = fakeClock(), order = {} }: Setup = {}) {
  const complete = { url, held: null, path, signal: new AbortController().signal, progress: () => {}, ...order };
  return testFetcher(clock)(downloaded("l", [url]), complete);
}

describe("a file arrives", () => {
  test.each(["http", "https"] as const)("over %s, with its checksum and the server's validators", async (scheme) => {
    const path = join(directory(), "new");
    const lastModified = "Sat, 21 Nov 2026 10:00:00 GMT";
    const page: Page = (_, response) => response.writeHead(200, { etag: '"1"', "last-modified": lastModified }).end("a.test\n");
    const { url } = await web({ "/a.txt?x=1": page }, scheme);
    const sha256 = createHash("sha256").update("a.test\n").digest("hex");
    expect(await fetchTo(path, `${url}/a.txt?x=1`)).toEqual({ kind: "new", bytes: 7, sha256, etag: '"1"', lastModified });
    expect(readFileSync(path, "utf8")).toBe("a.test\n");
  });

  test("and is unpacked if the server compresses it", async () => {
    const path = join(directory(), "new");
    const page: Page = (request, response) => {
      expect(request.headers["accept-encoding"]).toBe("gzip");
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("a.test\n"));
    };
    const { url } = await web({ "/a": page });
    expect(await fetchTo(path, `${url}/a`)).toMatchObject({ kind: "new", bytes: 7 });
    expect(readFileSync(path, "utf8")).toBe("a.test\n");
  });

  test("is not downloaded again if the stored version is the newest", async () => {
    const page: Page = ({ headers }, response) => {
      const isHeld = headers["if-none-match"] === '"7"' && headers["if-modified-since"] === "yesterday";
      response.writeHead(isHeld ? 304 : 500).end();
    };
    const { url } = await web({ "/a": page });
    const held = { etag: '"7"', lastModified: "yesterday" };
    expect(await fetchTo(join(directory(), "new"), `${url}/a`, { order: { held } })).toEqual({ kind: "unchanged" });
  });

  test("with the user and password of its URL, which are not sent to the server of a redirect", async () => {
    const told: (string | undefined)[] = [];
    const there = await web({
      "/b": ({ headers }, response) => {
        told.push(headers.authorization);
        response.end("b.test\n");
      },
    });
    const { url } = await web({
      "/a": ({ headers }, response) => {
        told.push(headers.authorization);
        response.writeHead(302, { location: `${there.url}/b` }).end();
      },
    });
    await fetchTo(join(directory(), "new"), `${url.replace("//", "//m%C3%A9:p%3Aw@")}/a`);
    expect(told).toEqual([`Basic ${Buffer.from("mé:p:w").toString("base64")}`, undefined]);
  });

  test("through redirects, to another server too", async () => {
    const there = await web({ "/b": "b.test\n" });
    const { url } = await web({
      "/a": (_, response) => response.writeHead(302, { location: "/c" }).end("moved"),
      "/c": (_, response) => response.writeHead(308, { location: `${there.url}/b` }).end(),
    });
    const path = join(directory(), "new");
    await fetchTo(path, `${url}/a`);
    expect(readFileSync(path, "utf8")).toBe("b.test\n");
  });

  test("and reports its progress", async () => {
    const { url } = await web({ "/a": (_, response) => response.writeHead(200, { "content-length": "3" }).end("abc") });
    const told: unknown[] = [];
    await fetchTo(join(directory(), "new"), `${url}/a`, { order: { progress: (...args) => told.push(args) } });
    expect(told.at(-1)).toEqual([3, 3]);
  });
});

describe("a failed download leaves no file", () => {
  const moved =
    (location: string): Page =>
    (_, response) =>
      void response.writeHead(302, { location }).end();

  test.each<readonly [string, Page, RegExp]>([
    ["a page that is not there", (_, response) => response.writeHead(404).end("no"), /^status 404$/],
    ["304 without a stored version", (_, response) => response.writeHead(304).end(), /^status 304$/],
    [
      "half a file",
      (_, response) => {
        response.writeHead(200, { "content-length": "1000" });
        response.write("a.test\n", () => response.destroy());
      },
      /./,
    ],
    [
      "half a chunked file",
      (_, response) => {
        response.writeHead(200);
        response.write("a.test\n", () => response.destroy());
      },
      /./,
    ],
    [
      "half a compressed file",
      (_, response) => {
        const packed = gzipSync("a.test\n".repeat(1000));
        response.writeHead(200, { "content-encoding": "gzip" }).end(packed.subarray(0, packed.length - 12));
      },
      /unexpected end of file/,
    ],
    [
      "a body that is not compressed as its header says",
      (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("x"),
      /header|end/,
    ],
    ["another content coding", (_, response) => response.writeHead(200, { "content-encoding": "br" }).end("x"), /br/],
    [
      "a size beyond the limit",
      (_, response) => {
        response.writeHead(200, { "content-length": String(2 ** 31) });
        response.write("x");
      },
      /^larger than 64 MiB$/,
    ],
    ["a loop of redirects", moved("/a"), /^more than 5 redirects$/],
    ["a redirect to a file", moved("file:///etc/passwd"), /no web address/],
  ])("%s", async (_, page, reason) => {
    const path = join(directory(), "new");
    const { url } = await web({ "/a": page });
    await expect(fetchTo(path, `${url}/a`)).rejects.toThrow(reason);
    expect(existsSync(path)).toBe(false);
  });

  test.each(["by name", "by address"])("a redirect from the internet to a private address is refused: %s", async (way) => {
    const there = await web({ "/b": "secret" });
    const { port } = new URL(there.url);
    const { url } = await web({ "/a": moved(`http://${way === "by name" ? "localhost" : "127.0.0.1"}:${port}/b`) });
    const path = join(directory(), "new");
    const dial = async (target: DownloadTarget): Promise<Socket> => {
      const socket = connect({ host: "127.0.0.1", port: target.port });
      await once(socket, "connect");
      if (target.host === "list.example") Object.defineProperty(socket, "remoteAddress", { value: "192.0.2.1" });
      return socket;
    };
    const request = { url: `${url.replace("localhost", "list.example")}/a`, held: null, path, progress: () => {} };
    const downloading = download({ ...request, signal: new AbortController().signal }, { dial, clock: fakeClock() });
    await expect(downloading).rejects.toThrow("a redirect to a private address");
    expect(there.asked).toEqual([]);
  });

  test("a redirect from https to http is refused", async () => {
    const plain = await web({ "/b": "b.test\n" });
    const { url } = await web({ "/a": moved(`${plain.url}/b`) }, "https");
    await expect(fetchTo(join(directory(), "new"), `${url}/a`)).rejects.toThrow(/from https/);
    expect(plain.asked).toEqual([]);
  });

  test("a server that is down", async () => {
    const server = await web({});
    await server.close();
    await expect(fetchTo(join(directory(), "new"), `${server.url}/a`)).rejects.toThrow(/ECONNREFUSED/);
  });

  test("a stream of 200 MB is cut at the limit, and memory stays flat", async () => {
    const chunk = Buffer.alloc(64 * 1024, "n.test\n");
    let sentBytes = 0;
    const page: Page = (_, response) => {
      const more = (): void => {
        while (sentBytes < 200e6 && !response.destroyed) {
          sentBytes += chunk.length;
          if (!response.write(chunk)) return void response.once("drain", more);
        }
        response.end();
      };
      more();
    };
    const { url } = await web({ "/a": page });
    const path = join(directory(), "new");
    const limit = 48 * 1024 * 1024;
    const before = process.memoryUsage().arrayBuffers;
    const held = () => process.memoryUsage().arrayBuffers - before;
    let most = 0;
    const progress = (): void => {
      // What waits for the collector does not count.
      if (held() > limit) collectGarbage();
      most = Math.max(most, held());
    };
    await expect(fetchTo(path, `${url}/a`, { order: { progress } })).rejects.toThrow(/^larger than 64 MiB$/);
    expect(existsSync(path)).toBe(false);
    expect(sentBytes).toBeLessThan(100e6);
    expect(most).toBeLessThanOrEqual(limit);
  });

  test("a small compressed file that unpacks to more than the limit is cut too", async () => {
    const packed = gzipSync(Buffer.alloc(70 * 1024 * 1024));
    const { url } = await web({ "/a": (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(packed) });
    await expect(fetchTo(join(directory(), "new"), `${url}/a`)).rejects.toThrow(/^larger than 64 MiB$/);
  });
});

describe("time", () => {
  const endless: Page = (_, response) => {
    response.writeHead(200);
    response.write("a.test\n");
  };

  test("a body that stops coming is given up after 30 s", async () => {
    const clock = fakeClock();
    const { url } = await web({ "/a": endless });
    let received = 0;
    const progress = (bytes: number): void => {
      received = bytes;
    };
    const outcome = fetchTo(join(directory(), "new"), `${url}/a`, { clock, order: { progress } }).catch(String);
    await until(() => received > 0);
    await clock.advance(29_999);
    await clock.advance(1);
    expect(await outcome).toMatch(/nothing came for 30 s/);
  });

  test("a slow body is given up after ten minutes", async () => {
    const clock = fakeClock();
    let drip = (): void => {};
    const { url } = await web({
      "/a": (_, response) => {
        response.writeHead(200);
        drip = () => void response.write("a.test\n");
        drip();
      },
    });
    let received = 0;
    const progress = (bytes: number): void => {
      received = bytes;
    };
    const outcome = fetchTo(join(directory(), "new"), `${url}/a`, { clock, order: { progress } }).catch(String);
    for (let drop = 1; drop < 24; drop++) {
      await until(() => received >= drop * 7);
      await clock.advance(25_000);
      drip();
    }
    await until(() => received >= 24 * 7);
    await clock.advance(25_000);
    expect(await outcome).toMatch(/not complete within 600 s/);
  });

  test("a server that says nothing is given up as well", async () => {
    const clock = fakeClock();
    const server = await web({ "/a": () => {} });
    const outcome = fetchTo(join(directory(), "new"), `${server.url}/a`, { clock }).catch(String);
    await until(() => server.asked.length > 0);
    await clock.advance(30_000);
    expect(await outcome).toMatch(/nothing came for 30 s/);
  });

  test("a caller may abort", async () => {
    const server = await web({ "/a": endless });
    const controller = new AbortController();
    const outcome = fetchTo(join(directory(), "new"), `${server.url}/a`, { order: { signal: controller.signal } }).catch(String);
    await until(() => server.asked.length > 0);
    controller.abort(new Error("that is all"));
    expect(await outcome).toMatch(/that is all/);
  });
});
