import type { Config } from "./config/types.ts";

/**
 * What the configuration asks for by name and this version cannot do, one sentence each. Better a server that says so at its start than
 * one that quietly leaves it out.
 */
export function notYet(config: Config): string[] {
  const sections = [
    { name: "ddns", used: config.ddns.tokens.length > 0 },
    { name: "routeros", used: config.routeros !== null },
    { name: "cluster", used: config.cluster !== null },
    { name: "log.sinks", used: config.log.sinks.length > 0 },
    { name: "special.ddr", used: config.special.ddr },
  ];
  return sections.filter(({ used }) => used).map(({ name }) => `${name} is not there yet`);
}
