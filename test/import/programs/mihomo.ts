import fc from "fast-check";
import { type Answerer, answerOf, domainsOf, type Format, type Group, questionOf, Rows } from "./program.ts";

/** mihomo, section `dns`: of the keys of a policy, label by label from the end, a literal one beats `*`, which beats `.`; hosts come before. */

type Mark = "" | "*." | "." | "+.";

interface Program {
  readonly standard: Group;
  readonly policies: readonly { readonly mark: Mark; readonly domain: string; readonly target: Group }[];
  readonly host: string | null;
  readonly isIpv6: boolean;
}

const DOMAINS = ["example.com", "a.example.com", "b.a.example.com", "shop.example.com", "test.net"];
const NAMES = [...DOMAINS, "c.b.a.example.com", "x.a.example.com", "y.example.com", "z.test.net", "w.org"];
const FOUR = "10.1.2.3";

const program: fc.Arbitrary<Program> = fc.record({
  standard: fc.constantFrom<Group>("near", "far"),
  policies: fc.uniqueArray(
    fc.record({
      mark: fc.constantFrom<Mark>("", "*.", ".", "+."),
      domain: fc.constantFrom(...DOMAINS),
      target: fc.constantFrom<Group>("near", "far", "third"),
    }),
    // What two lines for one name come to is no man's rule.
    { maxLength: 5, selector: ({ mark, domain }) => `${mark === "*." ? mark : ""}${domain}` },
  ),
  host: fc.option(fc.constantFrom(...DOMAINS)),
  isIpv6: fc.boolean(),
});

export const MIHOMO: Format<Program> = {
  kind: "mihomo",
  program,
  question: questionOf(NAMES, ["A", "AAAA", "TXT"], ["foreign"]),
  make: ({ standard, policies, host, isIpv6 }, { servers, listen }) => {
    const rows = new Rows();
    rows.add(`ipv6: true\ndns:\n  enable: true\n  listen: ${listen.address}:${listen.port}`);
    const ipv6 = rows.add(`  ipv6: ${isIpv6}\n  enhanced-mode: redir-host`);
    rows.add(`  nameserver: [${servers[standard].address}]\n  nameserver-policy:`);
    const numbered = policies.map((each) => ({
      ...each,
      number: rows.add(`    "${each.mark}${each.domain}": ${servers[each.target].address}`),
    }));
    const hosts = host === null ? 0 : rows.add(`hosts:\n  ${host}: ${FOUR}`);
    return {
      files: { "config.yaml": rows.text },
      run: (question) => {
        const { name, type } = question;
        const found = numbered.flatMap((each) => {
          const rank = rankOf(each.mark, each.domain, name);
          return rank === null ? [] : [{ ...each, rank }];
        });
        const [best] = found.toSorted((one, other) => (one.rank < other.rank ? 1 : -1));
        const lines = new Set([ipv6, hosts, ...found.map(({ number }) => number)]);
        const answered = (answer: Answerer) => ({ answers: [answer], asked: new Set<Group>(), lines });
        if (type === "AAAA" && !isIpv6) return answered("!nodata");
        if (host === name && type === "A") return answered(`=${FOUR}`);
        // An IPv4 address is given to both families.
        if (host === name && type === "AAAA") return answered("!nodata");
        const group = best?.target ?? standard;
        return { answers: [answerOf(group, question)], asked: new Set([group]), lines };
      },
    };
  },
};

/** The labels from the end, each 2 for a literal one, 1 for `*` and 0 for what `.` leaves open; null = it does not match. */
function rankOf(mark: Mark, domain: string, name: string): string | null {
  const literal = "2".repeat(domain.split(".").length);
  if (name === domain) return mark === "" || mark === "+." ? literal : null;
  if (!domainsOf(name).includes(domain)) return null;
  const below = name.split(".").length - domain.split(".").length;
  if (mark === "*.") return below === 1 ? `${literal}1` : null;
  return mark === "." || mark === "+." ? `${literal}0` : null;
}
