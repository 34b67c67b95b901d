import { appendFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import type { ConfigFile, Pause } from "../../../src/admin/schemas/edits.ts";
import type { TroublePage } from "../../../src/admin/schemas/health.ts";
import { holdBack } from "./browser.ts";
import { demoInBrowser } from "./demo.ts";

const site = demoInBrowser();

/** The problem of the blocked name, with its first fix chosen and proved. */
async function provedFix(): Promise<Page> {
  const page = await site.show("/problems");
  await page.getByLabel("Which problems").selectOption("all");
  await page.locator("a.row", { hasText: "page.example.cn" }).click();
  await page.getByLabel("Except page.example.cn from rule ads").check();
  await page.locator(".diff .added", { hasText: "!page.example.cn" }).waitFor();
  await page.getByText("Expectations 4/4").waitFor();
  await expect.poll(() => page.getByRole("button", { name: "Apply" }).isEnabled(), { timeout: 40_000 }).toBe(true);
  return page;
}

test("a blocked name is called blocked where its query is shown", async () => {
  const page = await site.show("/queries?name=full:page.example.cn&from=7d");
  await page.locator("a.row").first().click();
  await page.getByText("Blocked by the rule: the device was told that there are no records.").waitFor();
  site.watched.expectNoFault();
});

describe("a fix", () => {
  test("of a blocked name is a press away from the question for it, and its queries are called blocked", async () => {
    let page = await site.show("/ask?name=page.example.cn&client=tv");
    await page.locator(".happened li", { hasText: "blocked" }).first().waitFor();
    await page.getByRole("link", { name: "What mends it" }).click();
    await page.getByLabel("Except page.example.cn from rule ads").waitFor();
    page = await site.show("/queries?name=page.example.cn&from=7d");
    await page.locator(".list a.row .row-rcode", { hasText: "blocked" }).first().click();
    await page.locator(".query-view").getByRole("link", { name: "What mends it" }).waitFor();
    await page.getByRole("button", { name: "Make a rule" }).click();
    await page.locator("option", { hasText: "let it through, by" }).first().waitFor({ state: "attached" });
    site.watched.expectNoFault();
  });

  test("that is applied resolves the name, which is asked anew and shown; undone, the file is what it was, byte for byte", async () => {
    const before = site.demo.text();
    const page = await provedFix();
    await page.getByText(/\d+ of \d+ logged queries go otherwise, all of them at or below page.example.cn/).waitFor();
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("now NOERROR, 1 record").waitFor();
    expect(site.demo.text()).toContain("!page.example.cn");
    expect((await site.demo.call("GET", "/explain?name=page.example.cn&clientId=tv")).body).toMatchObject({
      decision: { rule: "mainland" },
    });
    const stateOfProblem = async () => {
      const { problems } = (await site.demo.call<TroublePage>("GET", "/problems")).body;
      return problems.find(({ cause }) => cause === "insisted")?.state;
    };
    await expect.poll(stateOfProblem).toBe("fixed");
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("Undone.").waitFor();
    await page.getByText("now NOERROR, no records").waitFor();
    expect(site.demo.text()).toBe(before);
    await expect.poll(stateOfProblem).not.toBe("fixed");
    site.watched.expectNoFault();
  });

  test("meets a file that was changed since its preview: nothing is written, the change is kept, and a new preview is shown", async () => {
    const page = await provedFix();
    await page.clock.install();
    appendFileSync(site.demo.file, "# by hand\n");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("The file was changed meanwhile").waitFor();
    expect(site.demo.text()).not.toContain("!page.example.cn");
    await expect.poll(() => page.getByRole("button", { name: "Apply" }).isEnabled(), { timeout: 40_000 }).toBe(true);
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("Applied.").waitFor();
    expect(site.demo.text()).toContain("!page.example.cn");
    expect(site.demo.text()).toContain("# by hand");
    // Undoing would lose what is written from now on.
    appendFileSync(site.demo.file, "# once more\n");
    // The way back stays, however long somebody tries whether it works.
    await page.clock.fastForward("05:00");
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("The file was changed since").waitFor();
    expect(site.demo.text()).toContain("# once more");
    // The browser tells of the refusals themselves.
    expect(site.watched.faults.filter((fault) => !fault.includes("409"))).toEqual([]);
  });

  test("that breaks an expectation cannot be applied, through the API neither", async () => {
    const before = site.demo.text();
    const { digest, text } = (await site.demo.call<ConfigFile>("GET", "/config/file")).body;
    const broken = text.replace(/(name: mainland,.*upstream: )domestic/, "$1overseas");
    expect(broken).not.toBe(text);
    const preview = await site.demo.call("POST", "/config/edits", { edit: { kind: "text", text: broken }, base: digest });
    expect(preview.body).toMatchObject({ ticket: null, expect: { held: 3, total: 4 } });
    expect((await site.demo.call("PUT", "/config/file", { text: broken, base: digest })).status).toBe(409);
    expect(site.demo.text()).toBe(before);
    const page = await site.show("/config");
    await page.locator(".editor textarea").fill(broken);
    await page.getByRole("button", { name: "Preview" }).click();
    await page.getByText("It breaks an expectation.").waitFor();
    expect(await page.getByRole("button", { name: "Apply" }).isDisabled()).toBe(true);
    site.watched.expectNoFault();
  });
});

describe("what changes on the server", () => {
  test("is seen at once, without a press and without asking again and again: a pause, and its end", async () => {
    const page = await site.show("/");
    // Who asks gets no answer: what is known of the health, the server has told by itself.
    await holdBack(page, "**/api/v1/health");
    await page.reload();
    await page.locator(".health-item").first().waitFor();
    const { body } = await site.demo.call<Pause>("POST", "/pause", { rules: ["ads"], client: "tv", minutes: 5 });
    await page.locator(".pause", { hasText: "ads · tv" }).waitFor();
    await page
      .getByText(/Rules are paused for tv/)
      .first()
      .waitFor();
    await site.demo.call("DELETE", `/pause/${body.id}`);
    await page.locator(".pause").waitFor({ state: "detached" });
    await page
      .getByText(/Rules are paused for tv/)
      .first()
      .waitFor({ state: "detached", timeout: 60_000 });
    site.watched.expectNoFault();
  });

  test("of a rule made of a query is applied with its proof", async () => {
    const page = await site.show("/queries?name=full:www.cloud.example&from=7d");
    await page.locator(".list a.row").first().click();
    await page.getByRole("button", { name: "Make a rule" }).click();
    await page.getByLabel("What becomes of it").selectOption("domestic");
    await page.locator(".diff .added", { hasText: "www-cloud-example" }).waitFor();
    // The demonstration expects that name to go overseas.
    await page.getByText("It breaks an expectation.").waitFor();
    await page.getByLabel("What becomes of it").selectOption("overseas");
    await page.getByText("Expectations 4/4").waitFor();
    await page.getByRole("button", { name: "Close" }).last().click();
    site.watched.expectNoFault();
  });
});
