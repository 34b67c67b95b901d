import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";
import { fetchMetrics, samplesOf } from "./exposed.ts";

const text = (file: string) => readFileSync(new URL(`../../docs/${file}`, import.meta.url), "utf8");
const dashboard = text("grafana-dashboard.json");
const alerts = text("alerts.yaml");

/** Every expression of a document, wherever in it: the values of `expr`. */
function expressionsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(expressionsIn);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => (key === "expr" ? [String(each)] : expressionsIn(each)));
}

/** Metrics that an expression selects, each with its matchers. */
function selectorsOf(expression: string): { name: string; labels: [label: string, values: string][] }[] {
  return [...expression.matchAll(/\b((?:fenliu|process)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)].map(([, name = "", matchers = ""]) => ({
    name,
    labels: [...matchers.matchAll(/([a-z_]+)=~?"([^"]*)"/g)].map(([, label = "", values = ""]) => [label, values]),
  }));
}

const documents = [
  { title: "the dashboard", expressions: expressionsIn(JSON.parse(dashboard)), least: 40 },
  { title: "the alerts", expressions: expressionsIn(parse(alerts)), least: 15 },
];

describe.each(documents)("$title", ({ expressions, least }) => {
  test("names only metrics that the server exposes, by labels that they have", async () => {
    const site = await siteWith({
      yaml: 'rules: [{ name: all, domains: ["list:own"], upstream: main }]\nlists: { own: { domains: [/dev/null], refresh: 24h } }',
      upstreams: { main: honest("page.example A 192.0.2.7") },
      admin: true,
    });
    await site.ask("page.example");
    const exposition = await fetchMetrics(site);
    const types = new Map([...exposition.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => [name, type]));
    const samples = samplesOf(exposition);
    expect(expressions.length).toBeGreaterThanOrEqual(least);
    for (const { name, labels } of expressions.flatMap(selectorsOf)) {
      const base =
        types.get(name.replace(/_(bucket|sum|count)$/, "")) === "histogram" ? name.replace(/_(bucket|sum|count)$/, "") : name;
      expect(types.has(base), name).toBe(true);
      const [sample] = samples.filter((each) => each.name === name);
      for (const [label] of labels.filter(([each]) => each !== "instance"))
        expect(Object.keys(sample?.labels ?? {}), name).toContain(label);
    }
  });

  test("takes the rate of counters, and of nothing else", async () => {
    const exposition = await fetchMetrics(await siteWith({ admin: true }));
    const counters = new Set(
      [...exposition.matchAll(/^# TYPE (\S+) (counter|histogram)$/gm)].flatMap(([, name = "", type]) =>
        type === "counter" ? [name] : [`${name}_bucket`, `${name}_sum`, `${name}_count`],
      ),
    );
    for (const expression of expressions) {
      for (const { name } of selectorsOf(expression)) {
        const isRated = new RegExp(`(rate|increase)\\(${name}[{[]`).test(expression);
        expect(isRated, `${name} in ${expression}`).toBe(counters.has(name));
      }
    }
  });
});

test("each panel of the dashboard has its own id and place, and shows something", () => {
  const { panels }: { panels: { id: number; type: string; gridPos: { x: number; y: number; w: number; h: number } }[] } =
    JSON.parse(dashboard);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, index) => `${x + (index % w)} ${y + Math.floor(index / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
});
