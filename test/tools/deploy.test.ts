import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { parseConfig } from "../../src/config/load.ts";
import { directory } from "../support/files.ts";

const read = (file: string) => readFileSync(new URL(`../../deploy/${file}`, import.meta.url), "utf8");

describe("the unit of systemd", () => {
  const has = spawnSync("systemd-analyze", ["--version"]).status === 0;

  // Only systemd judges its units, and few machines of developers have it; CI installs it.
  test.skipIf(!has)("is without a fault, and exposes no more than 2.0 (needs systemd-analyze)", () => {
    const file = join(directory(), "fenliu.service");
    writeFileSync(file, read("fenliu.service").replace("/opt/fenliu/bin/fenliu", "/bin/true"));
    const verified = spawnSync("systemd-analyze", ["verify", file], { encoding: "utf8" });
    expect(verified.stderr).toBe("");
    const security = spawnSync("systemd-analyze", ["security", "--offline=true", file], { encoding: "utf8" });
    const [, exposure = ""] = /Overall exposure level for fenliu\.service: ([\d.]+)/.exec(security.stdout) ?? [];
    expect(Number(exposure)).toBeGreaterThan(0);
    expect(Number(exposure)).toBeLessThanOrEqual(2);
  });
});

describe("the manifests for Kubernetes", () => {
  const objects = parseAllDocuments(read("kubernetes/fenliu.yaml")).map((document) => document.toJS());

  test("hold a configuration that is right", () => {
    const text: string = objects.find(({ kind }) => kind === "ConfigMap").data["fenliu.yaml"];
    // The rules lie where the image has them.
    const local = text.replaceAll("/opt/fenliu/rules/", new URL("../../rules/", import.meta.url).pathname);
    expect(parseConfig(local, null)).toMatchObject({ kind: "ok", warnings: [] });
  });

  test("name one set of pods everywhere", () => {
    const label = { "app.kubernetes.io/name": "fenliu" };
    const deployment = objects.find(({ kind }) => kind === "Deployment");
    expect(deployment.spec.template.metadata.labels).toEqual(label);
    for (const { kind, spec } of objects.filter((each) =>
      ["Service", "PodDisruptionBudget", "NetworkPolicy"].includes(each.kind),
    )) {
      const selector = kind === "Service" ? spec.selector : (spec.selector ?? spec.podSelector).matchLabels;
      expect(selector, kind).toEqual(label);
    }
  });
});

test.each(["compose.yaml", "proxies/envoy.yaml", "proxies/traefik.yaml", "kubernetes/service-monitor.yaml"])(
  "%s is YAML",
  (file) => {
    expect(parse(read(file))).toBeTypeOf("object");
  },
);

const hasNginx = spawnSync("nginx", ["-v"]).status === 0;

// Only nginx reads its own language; CI installs it.
test.skipIf(!hasNginx)("nginx takes its snippet (needs nginx)", () => {
  const folder = directory();
  const site = join(folder, "site.conf");
  const fixture = (file: string) => new URL(`../fixtures/tls/${file}`, import.meta.url).pathname;
  const text = read("proxies/nginx.conf")
    .replace(/\/etc\/letsencrypt\S+fullchain\.pem/, fixture("cert.pem"))
    .replace(/\/etc\/letsencrypt\S+privkey\.pem/, fixture("key.pem"));
  writeFileSync(site, text);
  writeFileSync(
    join(folder, "nginx.conf"),
    `pid ${folder}/pid;\nerror_log stderr;\nevents {}\nhttp { access_log off; include ${site}; }\n`,
  );
  const { status, stderr } = spawnSync("nginx", ["-t", "-p", folder, "-c", join(folder, "nginx.conf")], { encoding: "utf8" });
  expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.stringContaining("test is successful") });
});
