import { type Findings, ImportError, type Place } from "../model.ts";
import { shownServer } from "../servers.ts";
import { childOf, isOn, itemsOf, numberAt, othersThan, pathBeside, type Tree, textAt, textOf } from "../source.ts";
import { type NamedFile, type Plugin, readHosts, readRedirects, ttlOf } from "./bundle.ts";
import {
  ecsSteps,
  type MosdnsPlugins,
  preferSteps,
  rcodeAnswer,
  rcodeNumber,
  redirectSteps,
  responseTest,
  typesTest,
  unknownTest,
  unknownType,
} from "./plugins.ts";
import type { Step, Steps, Test } from "./steps.ts";

/** Plugins and actions that change neither where a question goes nor what is answered. */
const SIDE_EFFECTS = new Set(
  `ipset nftset ospf ros_addrlist ros_address_list mikrotik_addresslist nft_set ip_set_add metrics_collector
  query_summary debug_print sleep reverse_lookup rate_limiter query_recorder stats_api single_flight
  forward_edns0opt pad_query padding prefetch cron download http_api`.split(/\s+/),
);

/** Reads the steps of mosdns 5 and OxiDNS. */
export class StepReader5 {
  readonly #plugins: MosdnsPlugins;
  readonly #read = new Map<string, Steps>();
  /** Conditions of several that are being read. */
  readonly #inside = new Set<string>();

  constructor(plugins: MosdnsPlugins) {
    this.#plugins = plugins;
  }

  /** The steps of a plugin that is run under its tag; each is read once. */
  stepsOf(tag: string, place: Place): Steps {
    const known = this.#read.get(tag);
    if (known !== undefined) return known;
    const plugin = this.#plugins.bundle.plugins.get(tag);
    if (plugin === undefined) return [{ kind: "unknown", why: `there is no plugin \`${tag}\``, place }];
    const steps =
      plugin.type === "sequence" ? itemsOf(plugin.args).flatMap((item) => this.#rule(item)) : this.#plugin(plugin, [], place);
    this.#read.set(tag, steps);
    return steps;
  }

  #rule(item: Tree): Steps {
    for (const { key, place } of othersThan(item, ["matches", "exec", "tag", "desc"]))
      return [{ kind: "unknown", why: `a step with \`${key}\``, place }];
    const steps = itemsOf(childOf(item, "exec")).flatMap((exec) => this.#exec(textOf(exec), exec.place));
    const matches = itemsOf(childOf(item, "matches"));
    if (matches.length === 0) return steps;
    const of = matches.map((match) => this.#test(textOf(match), match));
    return [{ kind: "if", test: { kind: "all", of }, yes: steps, no: [], place: item.place }];
  }

  #test(written: string, item: Tree): Test {
    if (written.startsWith("!")) return { kind: "not", of: this.#test(written.slice(1).trim(), item) };
    const [word = "", ...args] = written.split(/\s+/);
    const words = args.map((text): Tree => ({ kind: "scalar", text, place: item.place }));
    const shown = `the condition \`${written}\``;
    const unknown: Test = { kind: "unknown", why: `${shown} is not followed` };
    switch (word) {
      case "_true":
      case "_false":
        return { kind: "constant", value: word === "_true" };
      case "qname":
        return this.#plugins.namesTest(words, shown);
      case "question":
        return this.#plugins.namesTest(words, shown, "question");
      case "qtype":
        // OxiDNS has commas too.
        return typesTest(args.flatMap((each) => each.split(","))) ?? unknown;
      case "client_ip": {
        const clients = this.#plugins.inlineNetworks(words);
        return "why" in clients ? unknownTest(shown, clients) : { kind: "clients", clients };
      }
      case "ptr_ip":
        return this.#plugins.pointersTest(words, shown);
      case "resp_ip":
        return this.#plugins.addressesTest(words, shown);
      case "rcode": {
        const codes = args.map(rcodeNumber);
        return responseTest(
          codes.every(Number.isInteger) ? { kind: "rcode", codes } : { kind: "unknown", why: `${shown} is not followed` },
        );
      }
      case "cname":
        return responseTest({ kind: "unknown", why: `the condition \`${written}\` is not followed` });
      case "has_wanted_ans":
        return responseTest({ kind: "valid" });
      case "has_resp":
        return { kind: "has-response" };
      case "mark":
        return args.length === 0 ? unknown : { kind: "any", of: args.map((mark) => ({ kind: "mark", mark })) };
      case "qclass":
        return { kind: "constant", value: args.includes("1") };
      default:
        return word.startsWith("$")
          ? this.#matcherPlugin(word.slice(1), shown)
          : { kind: "unknown", why: `${shown} is not followed` };
    }
  }

  /** A plugin that is a condition, by its tag. */
  #matcherPlugin(tag: string, shown: string): Test {
    const plugin = this.#plugins.bundle.plugins.get(tag);
    if (plugin === undefined) return unknownTest(shown, { why: `there is no plugin \`${tag}\`` });
    const items = itemsOf(plugin.args);
    if (plugin.type === "rate_limiter") {
      this.#plugins.findings.add(
        "changed",
        plugin.place,
        `\`${tag}\`: how fast a client may ask is set by \`access.rateLimit\`, and the rule is as if nobody asked too fast`,
      );
      return { kind: "constant", value: true };
    }
    if (plugin.type === "any_match") return this.#anyOf(plugin, items, shown);
    if (!["qname", "question", "qtype", "client_ip", "resp_ip", "cname", "ptr_ip"].includes(plugin.type))
      return unknownTest(shown, { why: `\`${tag}\` is of the type \`${plugin.type}\`` });
    return this.#test(`${plugin.type} ${items.map(textOf).join(" ")}`, { kind: "scalar", text: "", place: plugin.place });
  }

  /** OxiDNS: one of several conditions. */
  #anyOf({ tag }: Plugin, items: readonly Tree[], shown: string): Test {
    if (this.#inside.has(tag)) return unknownTest(shown, { why: `\`${tag}\` is a part of itself` });
    this.#inside.add(tag);
    const of = items.map((item) => this.#test(textOf(item), item));
    this.#inside.delete(tag);
    return { kind: "any", of };
  }

  #exec(written: string, place: Place): Steps {
    const [word = "", ...args] = written.split(/\s+/);
    const [argument = ""] = args;
    switch (word) {
      case "":
        return [];
      case "accept":
        return [{ kind: "accept", place }];
      case "return":
        return [{ kind: "return", place }];
      case "drop_resp":
        return [{ kind: "drop-response", place }];
      case "reject":
        return [
          { kind: "answer", answer: rcodeAnswer(argument), place },
          { kind: "accept", place },
        ];
      case "jump":
      case "goto":
        return [{ kind: "call", mode: word, steps: () => this.stepsOf(argument, place), place }];
      case "black_hole":
        return blackHole(args, place, this.#plugins.findings);
      case "prefer_ipv4":
        return preferSteps("ipv4", place);
      case "prefer_ipv6":
        return preferSteps("ipv6", place);
      case "ttl": {
        const [, least, dash, most] = /^(\d{1,9})(-?)(\d{0,9})$/.exec(argument) ?? [];
        if (least === undefined) return [{ kind: "unknown", why: `\`${written}\``, place }];
        return [{ kind: "ttl", ttl: ttlOf(Number(least), dash === "" ? Number(least) : Number(most ?? 0)), place }];
      }
      case "ecs":
        return ecsSteps({ isSent: argument === "", preset: argument, args: null }, place);
      case "mark":
        return args.map((mark) => ({ kind: "mark", mark, place }));
      case "forward": {
        const items = args.map((text): Tree => ({ kind: "scalar", place, text }));
        const concurrent = { key: "concurrent", place, value: { kind: "scalar", place, text: "3" } as const };
        const entries = [{ key: "upstreams", place, value: { kind: "list", place, items } as const }, concurrent];
        const tag = args.map(shownServer).join("-");
        return this.#plugin({ tag, type: "forward", args: { kind: "map", place, entries }, place }, [], place);
      }
      case "cache":
        return [];
      default: {
        if (SIDE_EFFECTS.has(word)) {
          this.#plugins.findings.add("left", place, `\`${word}\`: nothing here corresponds to it, and no answer hangs on it`);
          return [];
        }
        const tag = word.replace(/^\$/, "");
        const plugin = word.startsWith("$") ? this.#plugins.bundle.plugins.get(tag) : undefined;
        if (plugin === undefined) return [{ kind: "unknown", why: `\`${written}\` is not known`, place }];
        if (plugin.type === "sequence") return [{ kind: "call", mode: "run", steps: () => this.stepsOf(tag, place), place }];
        const steps = this.#plugin(plugin, args, place);
        // OxiDNS: what such a plugin answers is final. That of hosts is a part of their step, and caches are not walked through.
        if (!isOn(plugin.args, "short_circuit") || plugin.type === "hosts" || plugin.type === "cache") return steps;
        return [...steps, { kind: "if", test: { kind: "has-response" }, yes: [{ kind: "accept", place }], no: [], place }];
      }
    }
  }

  #plugin(plugin: Plugin, args: readonly string[], place: Place): Steps {
    const shared = this.#plugins.stepsOf(plugin, place, SIDE_EFFECTS, args);
    if (shared !== null) return shared;
    switch (plugin.type) {
      case "hosts": {
        const hosts = readHosts(itemsOf(childOf(plugin.args, "entries")), this.#files(plugin), this.#plugins.findings);
        return [{ kind: "hosts", hosts, ends: isOn(plugin.args, "short_circuit"), place }];
      }
      case "redirect":
        return redirectSteps(
          readRedirects(itemsOf(childOf(plugin.args, "rules")), this.#files(plugin), this.#plugins.findings),
          place,
        );
      case "fallback":
        return [this.#fallback(plugin)];
      case "ecs_handler": {
        const preset = textAt(plugin.args, "preset");
        if (isOn(plugin.args, "forward")) {
          if (preset !== "" || isOn(plugin.args, "send"))
            this.#plugins.findings.add(
              "changed",
              plugin.place,
              `\`${plugin.tag}\` added ${preset === "" ? "the client's own network" : `\`${preset}\``} to questions without a client subnet: here they have none`,
            );
          return [{ kind: "ecs", ecs: "forward", forced: false, place }];
        }
        return ecsSteps({ isSent: isOn(plugin.args, "send"), preset, args: plugin.args }, place);
      }
      case "ttl":
        return [
          {
            kind: "ttl",
            ttl: ttlOf(numberAt(plugin.args, "min") ?? numberAt(plugin.args, "fix") ?? 0, numberAt(plugin.args, "max") ?? 0),
            place,
          },
        ];
      case "black_hole":
        return blackHole(itemsOf(childOf(plugin.args, "ips") ?? plugin.args).map(textOf), place, this.#plugins.findings);
      case "dual_selector":
        return preferSteps(textAt(plugin.args, "prefer") === "ipv6" ? "ipv6" : "ipv4", place);
      default:
        return unknownType(plugin);
    }
  }

  #files({ args }: Plugin): readonly NamedFile[] {
    return itemsOf(childOf(args, "files")).map((item) => {
      const path = pathBeside(this.#plugins.bundle.file, textOf(item));
      return { path, tag: textOf(item), reloads: false, place: item.place, codes: [] };
    });
  }

  #fallback({ args, place }: Plugin): Step {
    const branch = (key: string): Steps => {
      const written = textAt(args, key).replace(/^\$/, "");
      return written === "" ? [] : [{ kind: "call", mode: "run", steps: () => this.stepsOf(written, place), place }];
    };
    return {
      kind: "fallback",
      first: branch("primary"),
      second: branch("secondary"),
      afterMs: numberAt(args, "threshold") ?? 500,
      place,
    };
  }
}

/** Where there is no answer yet, zeros close the name; other addresses are made up, or take the place of an answer. */
function blackHole(addresses: readonly string[], place: Place, findings: Findings): Steps {
  if (addresses.length === 0) throw new ImportError(place, "`black_hole` without addresses");
  if (!addresses.every((address) => address === "0.0.0.0" || address === "::")) return [{ kind: "addresses", addresses, place }];
  findings.add(
    "changed",
    place,
    "`zero` closes every type of the name; mosdns answered A and AAAA alone and asked for the others",
  );
  return [{ kind: "answer", answer: "zero", place }];
}
