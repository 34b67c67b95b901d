import { TYPE } from "../../dns/types.ts";
import { isNetwork } from "../lists.ts";
import type { Place } from "../model.ts";
import { childOf, isOn, itemsOf, numberAt, othersThan, pathBeside, type Tree, textAt, textOf } from "../source.ts";
import { type NamedFile, type Plugin, readHosts, readRedirects, ttlOf } from "./bundle.ts";
import { parseExpression } from "./expression.ts";
import {
  ecsSteps,
  type MosdnsPlugins,
  preferSteps,
  rcodeAnswer,
  redirectSteps,
  responseTest,
  typesTest,
  unknownTest,
  unknownType,
} from "./plugins.ts";
import type { Step, Steps, Test } from "./steps.ts";

/** Plugins that change neither where a question goes nor what is answered. */
const SIDE_EFFECTS = new Set(
  `ipset nftset metrics_collector query_summary sleep reverse_lookup misc_optm single_flight padding edns0_filter`.split(/\s+/),
);
const BUILT_IN_EFFECTS = `_misc_optm _single_flight _pad_query _query_summary _query_edns0 _enable_edns0 _edns0_filter_no_edns0
  _edns0_filter_ecs_only _default_cache _query_is_edns0 _enable_response_padding _enable_conditional_response_padding _sleep_500ms`.split(
  /\s+/,
);

/** Reads the steps of mosdns 4, mosdns-x and easymosdns. */
export class StepReader4 {
  readonly #plugins: MosdnsPlugins;
  readonly #read = new Map<string, Steps>();

  constructor(plugins: MosdnsPlugins) {
    this.#plugins = plugins;
  }

  #steps(tree: Tree | null): Steps {
    return itemsOf(tree).flatMap((item) => this.#step(item));
  }

  #step(item: Tree): Steps {
    const { place } = item;
    if (item.kind === "scalar") return this.stepsOf(item.text.trim(), place);
    if (item.kind === "list") return this.#steps(item);
    if (childOf(item, "primary") !== null) return [this.#fallback(item)];
    if (childOf(item, "parallel") !== null || childOf(item, "load_balance") !== null)
      return [{ kind: "unknown", why: "`parallel` and `load_balance` of sequences are not followed", place }];
    const [other] = othersThan(item, ["if", "if_and", "exec", "else_exec", "goto"]);
    if (other !== undefined) return [{ kind: "unknown", why: `a step with \`${other.key}\``, place }];
    const exec = this.#steps(childOf(item, "exec"));
    // `goto` of version 2 and 3: the chain ends there.
    const target = textAt(item, "goto");
    const yes: Steps =
      target === "" ? exec : [...exec, { kind: "call", mode: "goto", steps: () => this.stepsOf(target, place), place }];
    const written = childOf(item, "if");
    if (written === null) return yes;
    // A list of conditions must hold in one: that is how older versions write it.
    const tests = itemsOf(written).map((each) => this.#test(textOf(each)));
    const test: Test = tests.length === 1 && tests[0] !== undefined ? tests[0] : { kind: "any", of: tests };
    return [{ kind: "if", test, yes, no: this.#steps(childOf(item, "else_exec")), place }];
  }

  #fallback(item: Tree): Step {
    const { place } = item;
    const [first, second] = [this.#steps(childOf(item, "primary")), this.#steps(childOf(item, "secondary"))];
    const afterMs = numberAt(item, "fast_fallback");
    if (afterMs !== null && afterMs > 0) return { kind: "fallback", first, second, afterMs, place };
    if (numberAt(item, "stat_length") !== null)
      return { kind: "unknown", why: "a fallback that counts failures (`stat_length`)", place };
    this.#plugins.findings.add(
      "changed",
      place,
      "without `fast_fallback` the secondary never runs in mosdns 4: the primary alone is asked",
    );
    return { kind: "call", mode: "run", steps: () => first, place };
  }

  #test(written: string): Test {
    const parsed = parseExpression(written);
    const unknown: Test = { kind: "unknown", why: `the condition \`${written}\` is not followed` };
    return parsed === null
      ? unknown
      : mapWords(parsed, (word) => this.#matcher(word) ?? { kind: "unknown", why: `the condition \`${word}\` is not known` });
  }

  #matcher(word: string): Test | null {
    if (word === "_response_valid_answer") return responseTest({ kind: "valid" });
    if (word === "_qtype_AAAA") return { kind: "types", types: [28] };
    if (word === "_qtype_A_AAAA") return { kind: "types", types: [1, 28] };
    if (word === "_query_is_common") return { kind: "constant", value: true };
    const plugin = this.#plugins.bundle.plugins.get(word);
    if (plugin?.type === "query_matcher") return this.#queryMatcher(plugin);
    if (plugin?.type === "response_matcher") return this.#responseMatcher(plugin);
    return null;
  }

  /** All keys must hold. */
  #queryMatcher({ args, tag }: Plugin): Test {
    const of = othersThan(args, []).map(
      ({ key, value }): Test =>
        this.#queryTest(key, itemsOf(value), `\`${key}\` of \`${tag}\``) ?? {
          kind: "unknown",
          why: `\`${key}\` of \`${tag}\` is not known`,
        },
    );
    return of.length === 0 ? { kind: "constant", value: false } : { kind: "all", of };
  }

  #queryTest(key: string, items: readonly Tree[], shown: string): Test | null {
    switch (key) {
      case "domain":
      case "qname":
        return this.#plugins.namesTest(items, shown);
      case "qtype":
        return typesTest(items.map(textOf));
      case "client_ip":
      case "ecs": {
        const networks = this.#plugins.inlineNetworks(items);
        if ("why" in networks) return unknownTest(shown, networks);
        return key === "ecs" ? { kind: "ecs", networks } : { kind: "clients", clients: networks };
      }
      case "qclass":
        return { kind: "constant", value: items.some((item) => textOf(item) === "1") };
      default:
        return null;
    }
  }

  #responseMatcher({ args, tag }: Plugin): Test {
    const of = othersThan(args, []).map(({ key, value }): Test => {
      const items = itemsOf(value);
      if (key === "ip") return this.#plugins.addressesTest(items, `\`ip\` of \`${tag}\``);
      const codes = items.map((item) => Number(textOf(item)));
      if (key === "rcode" && codes.every(Number.isInteger)) return responseTest({ kind: "rcode", codes });
      return responseTest({ kind: "unknown", why: `\`${key}\` of \`${tag}\` is not followed` });
    });
    return of.length === 0 ? { kind: "constant", value: false } : { kind: "all", of };
  }

  /** A tag, or a built-in action. */
  stepsOf(written: string, place: Place): Steps {
    if (written === "" || BUILT_IN_EFFECTS.includes(written)) return [];
    switch (written) {
      case "_return":
        return [{ kind: "return", place }];
      case "_end":
        return [{ kind: "accept", place }];
      case "_drop_response":
        return [{ kind: "drop-response", place }];
      case "_new_nxdomain_response":
      case "_block_with_nxdomain":
        return [{ kind: "answer", answer: "nxdomain", place }];
      case "_new_empty_response":
      case "_block_with_empty_response":
        return [{ kind: "answer", answer: "nodata", place }];
      case "_new_servfail_response":
      case "_block_with_servfail":
      case "_new_refused_response":
        return [{ kind: "answer", answer: "refused", place }];
      case "_prefer_ipv4":
        return preferSteps("ipv4", place);
      case "_prefer_ipv6":
        return preferSteps("ipv6", place);
      case "_reject_any": {
        // mosdns-x: a record that says that nobody asks so any more.
        const steps: Steps = [
          { kind: "answer", answer: "nodata", place },
          { kind: "accept", place },
        ];
        return [{ kind: "if", test: { kind: "types", types: [TYPE.ANY] }, yes: steps, no: [], place }];
      }
      case "_no_cname":
        this.#plugins.findings.add("changed", place, "aliases on the way to an address are shown: `_no_cname` took them out");
        return [];
      case "_no_ecs":
        return [{ kind: "ecs", ecs: null, forced: true, place }];
      default: {
        const plugin = this.#plugins.bundle.plugins.get(written);
        return plugin === undefined
          ? [{ kind: "unknown", why: `\`${written}\` is not known`, place }]
          : this.#plugin(plugin, place);
      }
    }
  }

  #plugin(plugin: Plugin, place: Place): Steps {
    const { type, args } = plugin;
    const shared = this.#plugins.stepsOf(plugin, place, SIDE_EFFECTS);
    if (shared !== null) return shared;
    switch (type) {
      case "sequence":
        return [{ kind: "call", mode: "run", steps: () => this.#sequence(plugin), place }];
      case "hosts":
        return [{ kind: "hosts", hosts: readHosts(...this.#entries(args, "hosts"), this.#plugins.findings), ends: true, place }];
      case "redirect": {
        const aliases = readRedirects(...this.#entries(args, "rule"), this.#plugins.findings);
        if (aliases.length > 0)
          this.#plugins.findings.add("changed", place, "a redirected name is answered with an alias, which mosdns 4 hid");
        return redirectSteps(aliases, place);
      }
      case "limit_ip":
        this.#plugins.findings.add("changed", place, `answers hold all their addresses: \`${plugin.tag}\` left some of them`);
        return [];
      case "blackhole":
        return this.#blackhole(args, place);
      case "ttl":
        return [{ kind: "ttl", ttl: ttlOf(numberAt(args, "minimal_ttl") ?? 0, numberAt(args, "maximum_ttl") ?? 0), place }];
      case "ecs":
        return this.#ecs(plugin, place);
      default:
        return unknownType(plugin);
    }
  }

  #sequence({ tag, args }: Plugin): Steps {
    const known = this.#read.get(tag);
    if (known !== undefined) return known;
    const steps = this.#steps(childOf(args, "exec") ?? args);
    this.#read.set(tag, steps);
    return steps;
  }

  /** The entries that stand in the configuration, and the files of others. */
  #entries(args: Tree | null, key: string): [readonly Tree[], readonly NamedFile[]] {
    const read = itemsOf(childOf(args, key)).map((item) => ({ item, file: this.#fileOf(item) }));
    return [read.flatMap(({ item, file }) => (file === null ? [item] : [])), read.flatMap(({ file }) => file ?? [])];
  }

  #fileOf(item: Tree): NamedFile | null {
    const written = textOf(item);
    const provider = this.#plugins.bundle.providers.get(/^provider:([^:]+)$/.exec(written)?.[1] ?? "");
    const ext = /^ext:(.+)$/.exec(written)?.[1];
    if (provider !== undefined) return { ...provider, tag: written, codes: [] };
    if (ext !== undefined)
      return { path: pathBeside(this.#plugins.bundle.file, ext), tag: ext, reloads: false, place: item.place, codes: [] };
    return null;
  }

  /** A and AAAA get the addresses, every other type the rcode, which is empty where none is said. */
  #blackhole(args: Tree | null, place: Place): Steps {
    const addresses = [...itemsOf(childOf(args, "ipv4")), ...itemsOf(childOf(args, "ipv6"))].map(textOf);
    const others: Step = { kind: "answer", answer: rcodeAnswer(String(numberAt(args, "rcode") ?? 0)), place };
    if (addresses.length === 0) return [others];
    if (addresses.every((address) => address === "0.0.0.0" || address === "::"))
      return [{ kind: "answer", answer: "zero", place }];
    const made: Step = { kind: "addresses", addresses, place };
    return [{ kind: "if", test: { kind: "types", types: [1, 28] }, yes: [made], no: [others], place }];
  }

  #ecs({ args, tag }: Plugin, place: Place): Steps {
    const [ipv4, ipv6] = [textAt(args, "ipv4"), textAt(args, "ipv6")];
    if (ipv4 !== "" && ipv6 !== "" && isNetwork(ipv6))
      this.#plugins.findings.add("changed", place, `\`ipv6\` of \`${tag}\`: one network is sent with every question`);
    const isSent = isOn(args, "auto");
    return ecsSteps({ isSent, preset: isSent ? "" : ipv4 || ipv6, args, forced: isOn(args, "force_overwrite") }, place);
  }
}

function mapWords(test: ReturnType<typeof parseExpression> & object, map: (word: string) => Test): Test {
  if (test.kind === "word") return map(test.word);
  if (test.kind === "not") return { kind: "not", of: mapWords(test.of, map) };
  return { kind: test.kind, of: test.of.map((part) => mapWords(part, map)) };
}
