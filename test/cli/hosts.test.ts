import { expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { directory } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { terminalFor } from "./stand-in.ts";

test("hosts shows the table, sets names, takes them back, and hides names of the file", async () => {
  const site = await siteWith({ admin: true, folder: directory(), yaml: "hosts: { records: { nas.lan: 10.0.0.5 } }" });
  const fenliu = async (...argv: readonly string[]) => {
    const terminal = terminalFor(site.app.administration.bound?.port);
    const code = await run(["hosts", ...argv], terminal);
    return { code, ...terminal.written };
  };
  expect((await fenliu()).out).toBe("NAME     ADDRESSES  SOURCE\nnas.lan  10.0.0.5   hosts.records:1\n");
  expect(await fenliu("set", "nas.lan", "10.0.0.55", "fd00::5")).toMatchObject({ code: 0, out: "nas.lan: done\n" });
  expect(await fenliu("set", "*.apps.lan", "nas.lan")).toMatchObject({ code: 0 });
  expect((await fenliu()).out).toMatch(/\*\.apps\.lan +alias of nas\.lan +data\/hosts\.yaml\nnas\.lan +10\.0\.0\.55 fd00::5 /);
  expect((await site.ask("nas.lan")).answers).toEqual(["10.0.0.55"]);
  await fenliu("unset", "nas.lan");
  expect((await site.ask("nas.lan")).answers).toEqual(["10.0.0.5"]);
  expect(await fenliu("hide", "nas.lan")).toMatchObject({ code: 0 });
  expect((await fenliu()).out).toContain("nas.lan     10.0.0.5          hosts.records:1  hidden\n");
  expect(await fenliu("unset", "tv.lan")).toMatchObject({ code: 1 });
  expect(JSON.parse((await fenliu("--json")).out)).toHaveLength(2);
});
