import { spawnSync } from "node:child_process";
import { Resolver } from "node:dns/promises";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { addresses } from "../upstreams/messages.ts";
import { type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";
import { dig } from "./clients.ts";
import { type FenliuProcess, startFenliu } from "./fenliu.ts";
import { type Block, readAlloy, type Value } from "./foreign-syntax.ts";
import { eventually, projectRoot, run } from "./processes.ts";
import { adapted, blockAfter } from "./recipes.ts";
import { Scene } from "./scene.ts";

const docs = join(projectRoot, "docs");
const scene = new Scene();
let upstream: ScriptedServer;
let fenliu: FenliuProcess;

beforeAll(async () => {
  upstream = await scriptedServer("dns", (asked) => addresses(asked, "192.0.2.7"));
  scene.defer(() => upstream.close());
  const yaml = `listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
upstreams: { main: { servers: ["127.0.0.1:${upstream.port}"] } }
answers: { deadline: 1s }
cache: { file: null }
log: { queries: { store: queries.db } }
`;
  fenliu = await scene.add(startFenliu(scene.folder, yaml));
  await dig(fenliu.ports.dns, "page.example");
});

afterAll(() => scene.close());

const there = (path: string) => `http://127.0.0.1:${fenliu.ports.admin}${path}`;

describe("Prometheus", () => {
  const recipe = blockAfter("**Prometheus**");

  test("takes the section, with the alert rules", async () => {
    const file = join(scene.folder, "prometheus.yml");
    writeFileSync(file, adapted(recipe, { "alerts.yaml": join(docs, "alerts.yaml") }));
    expect(await run("promtool", ["check", "config", file])).toMatchObject({ status: 0, stderr: "" });
  });

  test("finds the metrics where the section looks for them", async () => {
    const [job] = parse(recipe).scrape_configs;
    expect(job).toEqual({ job_name: "fenliu", static_configs: [{ targets: ["127.0.0.1:9080"] }] });
    const response = await fetch(there("/metrics"));
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining("fenliu_queries_total")]);
  });

  test("understands every expression of the dashboard for Grafana", async () => {
    const { panels, templating } = JSON.parse(readFileSync(join(docs, "grafana-dashboard.json"), "utf8"));
    const queries: string[] = panels.flatMap(({ targets = [] }) => targets.map(({ expr }: { expr: string }) => expr));
    const variables: string[] = templating.list.map(({ name }: { name: string }) => name);
    const rules = queries.map((expr, index) => {
      const plain = expr.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "1h");
      const filled = variables.reduce((text, name) => text.replaceAll(`$${name}`, ".+").replaceAll(`\${${name}}`, ".+"), plain);
      return { record: `panel:${index}`, expr: filled };
    });
    expect(rules.length).toBeGreaterThan(30);
    expect(rules.filter(({ expr }) => expr.includes("$"))).toEqual([]);
    const file = join(scene.folder, "panels.yaml");
    writeFileSync(file, stringify({ groups: [{ name: "panels", rules }] }));
    expect(await run("promtool", ["check", "rules", file])).toMatchObject({ status: 0, stderr: "" });
  });
});

/** Debian's package holds both; .ci/run installs it. */
const hasVictoriaMetrics = spawnSync("victoria-metrics", ["-version"]).status === 0;

describe.runIf(hasVictoriaMetrics)("VictoriaMetrics", () => {
  const check = async (yaml: string) => {
    const file = join(scene.folder, "scrape.yml");
    writeFileSync(file, yaml);
    return await run("victoria-metrics", ["-dryRun", `-promscrape.config=${file}`]);
  };

  test("takes the section without its first line, and refuses it with that line", async () => {
    const recipe = blockAfter("**Prometheus**");
    expect((await check(recipe.slice(recipe.indexOf("\n") + 1))).status).toBe(0);
    expect((await check(recipe)).stderr).toContain("field rule_files not found");
  });

  test("reads the same rules for alerts", async () => {
    const rules = `-rule=${join(docs, "alerts.yaml")}`;
    expect(await run("vmalert", ["-dryRun", rules])).toMatchObject({ status: 0 });
  });
});

describe("Loki, by Grafana Alloy", () => {
  const components = readAlloy(blockAfter("**Loki**"));
  const named = (name: string): Block => components.find((each) => each.name === name) ?? expect.unreachable(`no ${name}`);
  /** The fields of an object of texts. */
  const fieldsOf = (value: Value | undefined): readonly (readonly [key: string, text: string])[] => {
    const { fields } = typeof value === "object" && "fields" in value ? value : expect.unreachable("an object is wanted");
    return Object.entries(fields).map(([key, each]) => [
      key,
      typeof each === "string" ? each : expect.unreachable("a text is wanted"),
    ]);
  };

  /** Arguments that the components and stages have. */
  const known: Readonly<Record<string, readonly string[]>> = {
    "loki.source.journal": ["forward_to", "format_as_json", "labels", "matches", "max_age", "path", "relabel_rules"],
    "loki.process": ["forward_to"],
    "stage.json": ["expressions", "source", "drop_malformed"],
    "stage.labels": ["values"],
  };

  test("has components, stages and arguments that there are, each of which leads to the next", () => {
    const all = [...components, ...components.flatMap(({ blocks }) => blocks)];
    for (const { name, values } of all)
      expect(
        Object.keys(values).filter((key) => known[name]?.includes(key) !== true),
        name,
      ).toEqual([]);
    const receivers = components.flatMap(({ values }) => (values["forward_to"] as readonly { reference: string }[]) ?? []);
    // The last is the user's own.
    expect(receivers).toEqual([{ reference: "loki.process.fenliu.receiver" }, { reference: "loki.write.default.receiver" }]);
    expect(components.map(({ name, label }) => `${name}.${label}`)).toEqual([
      "loki.source.journal.fenliu",
      "loki.process.fenliu",
    ]);
  });

  /** What a line of the journal is labelled with. */
  function labelsOf(line: string): Readonly<Record<string, string>> {
    const labels: Record<string, string> = {};
    for (const [key, value] of fieldsOf(named("loki.source.journal").values["labels"])) labels[key] = value;
    const extracted = new Map<string, string>();
    for (const { name, values } of named("loki.process").blocks) {
      if (name === "stage.json")
        for (const [key, path] of fieldsOf(values["expressions"])) extracted.set(key, String(JSON.parse(line)[path]));
      else for (const [key, from] of fieldsOf(values["values"])) labels[key] = extracted.get(from) ?? "";
    }
    return labels;
  }

  test("labels every line that Fenliu writes by its unit and one of six levels", () => {
    const lines = fenliu.output().trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(labelsOf(line)).toEqual({ unit: "fenliu", level: expect.stringMatching(/^[1-6]0$/) });
  });

  test("reads the unit that is shipped", () => {
    expect(named("loki.source.journal").values["matches"]).toBe("_SYSTEMD_UNIT=fenliu.service");
    expect(readFileSync(join(projectRoot, "deploy/fenliu.service"), "utf8")).toContain("[Service]");
  });
});

test("Home Assistant finds in the answer what its sensors show", async () => {
  const [{ resource, sensor }] = parse(blockAfter("**Home Assistant**"), { logLevel: "silent" }).rest;
  await eventually(async () => {
    const stats = await (await fetch(there(resource.replace("http://192.168.88.2:9080", "")))).json();
    const shown = sensor.map(({ value_template }: { value_template: string }) => {
      const [, path = ""] = /value_json\.([\w.]+)/.exec(value_template) ?? [];
      return path.split(".").reduce((value: unknown, key) => Reflect.get(Object(value), key), stats);
    });
    return shown.length === 2 && shown.every((value: unknown) => typeof value === "number" && value > 0) ? true : null;
  });
});

describe("Uptime-Kuma", () => {
  /** Its HTTP monitor: up for a status of 200 to 299 after redirects. */
  const isUp = async () => (await fetch(there("/readyz"), { headers: { "User-Agent": "Uptime-Kuma/2.0" } })).ok;

  /** Its DNS monitor: the resolver of Node, told which server to ask. */
  async function resolves(name: string): Promise<readonly string[]> {
    const resolver = new Resolver({ timeout: 3000, tries: 1 });
    resolver.setServers([`127.0.0.1:${fenliu.ports.dns}`]);
    return await resolver.resolve4(name).catch(() => []);
  }

  test("sees Fenliu up, and down when no upstream answers any more", async () => {
    expect([await isUp(), await resolves("kuma.example")]).toEqual([true, ["192.0.2.7"]]);
    await upstream.close();
    await eventually(async () => {
      await resolves(`gone${Date.now()}.example`);
      return (await isUp()) ? null : true;
    });
    expect(await resolves("later.example")).toEqual([]);
  });
});
