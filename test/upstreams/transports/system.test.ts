import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Answer, indexAnswer } from "../../../src/dns/answer.ts";
import { RCODE } from "../../../src/dns/types.ts";
import { resolversIn, SystemServer } from "../../../src/upstreams/server.ts";
import { type StopSignal, type Upstream, UpstreamError } from "../../../src/upstreams/upstream.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { addressMessage, questionFor, rcodeMessage } from "../messages.ts";
import { addressTexts, errand, until } from "./set-up.ts";

const question = questionFor("www.example");

describe("resolv.conf(5)", () => {
  test.each<[string, string, string[]]>([
    ["names resolvers", "nameserver 192.0.2.1\nnameserver 2001:db8::1\n", ["192.0.2.1", "2001:db8::1"]],
    [
      "has comments, options and blanks",
      "# x\n; nameserver 192.0.2.9\nsearch example\n  nameserver\t192.0.2.1   # y\noptions ndots:2",
      ["192.0.2.1"],
    ],
    ["repeats itself", "nameserver 192.0.2.1\nnameserver 192.0.2.1", ["192.0.2.1"]],
    ["has a zone", "nameserver fe80::1%eth0", ["fe80::1%eth0"]],
    ["has names and nonsense", "nameserver dns.example\nnameserver\nnameservers 192.0.2.1\nnameserver 300.1.1.1", []],
    [
      "names more than three",
      [1, 2, 3, 4].map((n) => `nameserver 192.0.2.${n}`).join("\r\n"),
      ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    ],
    ["is empty", "", []],
  ])("%s", (_, text, expected) => {
    expect(resolversIn(text)).toEqual(expected);
  });
});

/** Stands for the resolvers, which listen on port 53: each answers with its own address, or fails. */
class Resolvers {
  readonly opened: string[] = [];
  readonly closed: string[] = [];
  readonly failing = new Set<string>();
  readonly silent = new Set<string>();
  /** Those that answer with this rcode alone. */
  readonly rcodes = new Map<string, number>();

  waiting = 0;

  async #untilAborted(signal: StopSignal, address: string): Promise<never> {
    this.waiting += 1;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    throw new UpstreamError("aborted", address, "given up");
  }

  open(address: string): Upstream {
    this.opened.push(address);
    return {
      label: address,
      encrypted: false,
      exchange: async (asked, { signal }) => {
        if (this.silent.has(address)) await this.#untilAborted(signal, address);
        if (this.failing.has(address)) throw new UpstreamError("refused", address, "refused");
        const rcode = this.rcodes.get(address);
        return answerWith(rcode === undefined ? addressMessage(asked, [address]) : rcodeMessage(asked, rcode));
      },
      close: async () => void this.closed.push(address),
    };
  }
}

function answerWith(message: Uint8Array): Answer {
  const answer = indexAnswer(message);
  if (answer === null) throw new Error("malformed");
  return answer;
}

interface Setting {
  readonly clock: FakeClock;
  readonly path: string;
  readonly resolvers: Resolvers;
  readonly upstream: Upstream;
}

async function systemWith(text: string | null): Promise<Setting> {
  const directory = await mkdtemp(join(tmpdir(), "fenliu-"));
  const path = join(directory, "resolv.conf");
  if (text !== null) await writeFile(path, text);
  const clock = fakeClock();
  const resolvers = new Resolvers();
  const system = { resolvConf: path, isOurs: (address: string, port: number) => address === "127.0.0.1" && port === 53 };
  const upstream = new SystemServer("system", { clock, system, open: (address) => resolvers.open(address) });
  onTestFinished(async () => {
    await upstream.close();
    await rm(directory, { recursive: true });
  });
  return { clock, path, resolvers, upstream };
}

describe("the host's own resolvers", () => {
  test("are asked in order, the next one when one fails", async () => {
    const { upstream, resolvers } = await systemWith("nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    resolvers.failing.add("192.0.2.1");
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.2"]);
    resolvers.failing.add("192.0.2.2");
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "refused" });
    expect(upstream.addresses?.()).toEqual(["192.0.2.1", "192.0.2.2"]);
  });

  test("are asked further when one has no good answer; when none has, the most telling one is returned", async () => {
    const { upstream, resolvers } = await systemWith("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n");
    resolvers.rcodes.set("192.0.2.1", RCODE.SERVFAIL).set("192.0.2.2", RCODE.REFUSED);
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.3"]);
    resolvers.failing.add("192.0.2.3");
    expect(await upstream.exchange(question, errand())).toMatchObject({ rcode: RCODE.SERVFAIL });
    resolvers.rcodes.set("192.0.2.1", RCODE.NXDOMAIN);
    expect(await upstream.exchange(question, errand())).toMatchObject({ rcode: RCODE.NXDOMAIN });
  });

  test("are waited for 1 s when another has refused and they are silent", async () => {
    const { upstream, resolvers, clock } = await systemWith("nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
    resolvers.rcodes.set("192.0.2.1", RCODE.SERVFAIL);
    resolvers.silent.add("192.0.2.2");
    const asked = upstream.exchange(question, errand());
    await until(() => resolvers.waiting === 1);
    await clock.advance(1_000);
    expect(await asked).toMatchObject({ rcode: RCODE.SERVFAIL });
  });

  test("never include our own listeners", async () => {
    const { upstream } = await systemWith("nameserver 127.0.0.1\nnameserver 192.0.2.2\n");
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.2"]);
  });

  test.each([
    ["no file", null],
    ["nobody in it", "search example\n"],
    ["only ourselves in it", "nameserver 127.0.0.1\n"],
  ])("cannot be asked with %s", async (_, text) => {
    const { upstream } = await systemWith(text);
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "bootstrap" });
  });

  test("are read again within 5 s of a change, and the unchanged ones stay open", async () => {
    const { upstream, resolvers, clock, path } = await systemWith("nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
    await upstream.exchange(question, errand());
    await writeFile(`${path}.new`, "nameserver 192.0.2.3\nnameserver 192.0.2.1\n");
    await rename(`${path}.new`, path);
    await clock.advance(4_999);
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    await clock.advance(1);
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.3"]);
    expect(resolvers.opened).toEqual(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    expect(resolvers.closed).toEqual(["192.0.2.2"]);
  });

  test("stay while the file is missing", async () => {
    const { upstream, clock, path } = await systemWith("nameserver 192.0.2.1\n");
    await upstream.exchange(question, errand());
    await rm(path);
    await clock.advance(5_000);
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("are closed with the server", async () => {
    const { upstream, resolvers } = await systemWith("nameserver 192.0.2.1\n");
    await upstream.exchange(question, errand());
    await Promise.all([upstream.close(), upstream.close()]);
    await until(() => resolvers.closed.includes("192.0.2.1"));
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "closed" });
  });
});
