import { expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { start, testTerminal } from "./terminal.ts";

/** The output of `fenliu query`. */
async function shown(server: string, name: string, type: string): Promise<string> {
  const terminal = testTerminal();
  expect(await run(["query", name, type, `@${server}`], terminal)).toBe(0);
  return terminal.written.out;
}

/** The queries of the text with the announced answers, in the form of `fenliu query`. */
function questionsOf(text: string) {
  const found: { says: string; server: string; name: string; type: string }[] = [];
  let says = "";
  for (const line of text.split("\n")) {
    const dig = /^ {2}k?dig @(\S+) -p (\d+) (.*)$/.exec(line);
    if (dig === null) {
      if (/^ \S/.test(line)) says = line.trim();
      continue;
    }
    const [, host = "", port = "", rest = ""] = dig;
    const words = rest.split(" ");
    const scheme = words.includes("+tcp") ? "tcp://" : "";
    const plain = words.filter((word) => !word.startsWith("+"));
    const [first = "", second = "A"] = plain;
    const reverse = second.split(".").toReversed().join(".");
    const [name, type] = first === "-x" ? [`${reverse}.in-addr.arpa`, "PTR"] : [first, second];
    found.push({ says, server: `${scheme}${host}:${port}`, name, type });
  }
  return found;
}

type Demo = Awaited<ReturnType<typeof start>>;

/** One demonstration for all: it takes seconds to make up a week. */
test("`demo` answers what it prints, explains it, and has a week of a house to show", async () => {
  const demo = await start(["demo"], "Ctrl-C ends it.");
  await expectAnnouncedAnswers(demo);
  await expectExplanations(demo);
  await expectWeek(demo);
  expect(await demo.stop()).toBe(0);
});

/** The printed commands get the answers that the text announces. */
async function expectAnnouncedAnswers(demo: Demo): Promise<void> {
  const text = demo.terminal.written.out;
  const questions = questionsOf(text);
  expect(questions.length).toBeGreaterThanOrEqual(11);
  for (const { says, server, name, type } of questions) {
    const out = await shown(server, name, type);
    const [address] = /\d+\.\d+\.\d+\.\d+/.exec(says) ?? [];
    if (address !== undefined) expect(out, `${name} ${type}`).toContain(`IN A ${address}`);
  }
  const ofFenliu = questions[0]?.server ?? "";
  const expected: readonly (readonly [string, string, string | RegExp])[] = [
    ["nas.lan", "A", "IN A 10.0.0.5"],
    ["grafana.apps.lan", "A", "IN A 10.0.0.6"],
    ["photos.lan", "AAAA", "IN AAAA fd00::5"],
    ["5.0.0.10.in-addr.arpa", "PTR", "IN PTR nas.lan."],
    ["ads.example.net", "A", /status: NOERROR[\s\S]*EDE[\s\S]*rule ads/],
    ["video.example.net", "TYPE65", /status: NOERROR[\s\S]*ANSWER: 0/],
    ["nothing.example.org", "A", "status: NXDOMAIN"],
    ["news.example.org", "A", "IN A 198.51.100.40"],
  ];
  for (const [name, type, answer] of expected) {
    expect(questions.map((question) => `${question.name} ${question.type}`)).toContain(`${name} ${type}`);
    expect(await shown(ofFenliu, name, type)).toMatch(
      typeof answer === "string" ? new RegExp(answer.replaceAll(".", "\\.")) : answer,
    );
  }
  const [, url = ""] = /curl -s '([^']+)'/.exec(text) ?? [];
  const json = await (await fetch(url, { headers: { accept: "application/dns-json" } })).json();
  expect(json).toMatchObject({ Status: 0, Answer: [{ name: "shop.example.cn.", data: "2001:db8:1::10" }] });
}

/** The API explains the route of each question. */
async function expectExplanations(demo: Demo): Promise<void> {
  const [, url = ""] = /curl -s '(http:[^']+\/api\/v1\/explain[^']+)'/.exec(demo.terminal.written.out) ?? [];
  expect(await (await fetch(url)).json()).toMatchObject({ decision: { rule: "elsewhere" } });
  const server = questionsOf(demo.terminal.written.out)[0]?.server ?? "";
  // Whoever follows the log is told of what is asked once its thread knows of him.
  let asked = 0;
  const toldAfterOneMore = async () => {
    await shown(server, `${++asked}.shop.example.cn`, "A");
    return demo.terminal.written.out;
  };
  await expect.poll(toldAfterOneMore, { timeout: 60_000 }).toMatch(/> \d+\.shop\.example\.cn A: rule mainland, from domestic \(/);
}

/** Failures, blocked names, a new configuration and a certificate that expires. */
async function expectWeek(demo: Demo): Promise<void> {
  const [, base = ""] = /(http:\/\/127\.0\.0\.1:\d+)\/ in a browser/.exec(demo.terminal.written.out) ?? [];
  const json = async (path: string): Promise<unknown> => (await fetch(`${base}/api/v1/${path}`)).json();
  expect(await json("stats?from=7d")).toMatchObject({
    total: expect.toSatisfy((total: number) => total > 1000),
    byAction: { block: expect.any(Number), access: expect.any(Number) },
    byRcode: { SERVFAIL: expect.any(Number), NXDOMAIN: expect.any(Number) },
  });
  expect(await json("queries?name=page.example.cn&client=tv&action=block&limit=100")).toMatchObject({
    records: expect.toSatisfy((records: readonly unknown[]) => records.length >= 14),
  });
  expect(await json("versions")).toHaveLength(2);
  expect(await json("health")).toMatchObject({
    items: expect.arrayContaining([expect.objectContaining({ kind: "certificate", state: "care" })]),
  });
}
