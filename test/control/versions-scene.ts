import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import type { ExplainRequest } from "../../src/admin/control.ts";
import { Explainer } from "../../src/control/explain.ts";
import { Versions, type VersionsOptions } from "../../src/control/history.ts";
import { listCacheOf } from "../../src/lists/cache.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

export const DAY_MS = 86_400_000;

/** A server whose lists and hosts are files, with its versions beside it. */
export async function scene({
  more = "",
  ...rest
}: { readonly more?: string } & Pick<Partial<VersionsOptions>, "limits" | "inUse"> = {}) {
  const where = directory();
  const paths = {
    cn: join(where, "cn.txt"),
    world: join(where, "world.txt"),
    hosts: join(where, "hosts.txt"),
    versions: join(where, "versions"),
  };
  writeFileSync(paths.cn, "# domestic\npage.example\n");
  writeFileSync(paths.world, "other.example\n");
  writeFileSync(paths.hosts, "10.0.0.5 nas.lan\n");
  const yaml = `lists: { cn: { domains: ["${paths.cn}"] }, world: { domains: ["${paths.world}"] } }
hosts: { files: ["${paths.hosts}"] }
rules: [{ name: split, longest: { "list:cn": domestic, "list:world": overseas } }]
${more}`;
  const site = await siteWith({ yaml, upstreams: { domestic: honest(), overseas: honest() } });
  const clock = fakeClock();
  const log: string[] = [];
  const store: { versions: readonly string[] | null } = { versions: [] };
  const open = (): Versions => {
    const versions = new Versions({
      folder: paths.versions,
      keepMs: () => 7 * DAY_MS,
      inUse: async () => store.versions ?? (await Promise.reject(new Error("the store is locked"))),
      clock,
      log: operationsLog("info", (line) => log.push(line), false),
      ...rest,
    });
    onTestFinished(() => versions.close());
    return versions;
  };
  return { site, yaml, paths, clock, log, store, open };
}

export function put(versions: Versions, { app }: TestSite): string {
  const { policy, config, version } = app.state;
  versions.put({ policy, copies: listCacheOf(config) });
  return version;
}

/** Explains by the policy in force and the kept versions alone. */
export function explainer(versions: Versions, { app }: TestSite): Pick<Explainer, "explain"> {
  return new Explainer({
    server: app,
    versions: () => versions,
    queries: { read: () => expect.fail("nothing is read of the log") },
    drafts: { use: () => expect.fail("no draft is used"), check: () => expect.fail("no draft is used") },
  });
}

export function about(name: string, version: string | null): ExplainRequest {
  return { name, type: "A", client: null, clientId: null, resolve: false, version };
}

export const MISSING = { kind: "missing" };

/** Moves page.example from one list to the other. */
export async function move({ site, yaml, paths }: Awaited<ReturnType<typeof scene>>): Promise<void> {
  writeFileSync(paths.cn, "# domestic\n");
  writeFileSync(paths.world, "other.example\npage.example\n");
  await site.reload(yaml);
}

/** A scene with a kept version and the next one, in which the name is in the other list. */
export async function movedScene() {
  const stage = await scene();
  const versions = stage.open();
  const before = put(versions, stage.site);
  await versions.list();
  await move(stage);
  const after = put(versions, stage.site);
  return { stage, versions, before, after };
}
