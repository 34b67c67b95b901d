import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../test/clients/processes.ts";

/**
 * The shipped file with the query log and one server of this host in the place of the internet; copies the rules that it names into the folder that it is
 * to lie in. @param sections its listeners, and other sections.
 */
export function shippedYaml(folder: string, upstreamPort: number, sections: string): string {
  mkdirSync(join(folder, "data"));
  mkdirSync(join(folder, "rules"));
  for (const name of ["cn-domains.txt", "world-domains.txt", "cn-ip.txt", "poison.txt", "hosts.txt"])
    copyFileSync(join(projectRoot, "rules", name), join(folder, "rules", name));
  const shipped = readFileSync(join(projectRoot, "fenliu.yaml"), "utf8");
  return `${shipped
    .replace(/^listen:[\s\S]*?(?=^upstreams:)/m, "")
    .replace("[223.5.5.5, 119.29.29.29], strategy: fastest", `["127.0.0.1:${upstreamPort}"]`)
    .replace('["https://1.1.1.1/dns-query", "tls://8.8.8.8"]', `["tcp://127.0.0.1:${upstreamPort}"]`)}
log: { queries: { store: data/queries.db } }
${sections}`;
}
