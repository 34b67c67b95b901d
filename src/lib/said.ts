/**
 * What the server says to people: a code with its values, so that a page can put it into another language, and the English sentence.
 * The table has every code. A page translates the codes that it knows and shows the text of the others.
 */
export interface Said {
  readonly code: string;
  /** Names, numbers and times as they are; never prose, but for `reason`, which another program or the system gave. */
  readonly values: Readonly<Record<string, string | number>>;
  readonly text: string;
}

export type SaidCode = keyof typeof SAID;

/** What stands in braces is a value. */
export const SAID = {
  "explain.answers": "Rule {rule} answers with {answer}.",
  "explain.drops": "Rule {rule} meets it with silence over UDP, and with REFUSED elsewhere.",
  "explain.sends": "Rule {rule} sends it to {group}.",
  "explain.firstGroup": "No rule decides, so it goes to the first group, {group}.",
  "explain.compares": "Rule {rule} compares {near} with {far}.",
  "explain.matchesPattern": "It matches {pattern}.",
  "explain.matchesList": "It matches {pattern}, line {line} of list {list} ({source}).",
  "explain.hosts": "The hosts table has {pattern}: it is answered here with {answer}.",
  "explain.alias": "The hosts table has {pattern}: it is an alias of {target}, which goes its own way.",
  "explain.ruleAlias": "Rule {rule} makes it an alias of {target}, which goes its own way.",
  "explain.hostsLine": "It stands in line {line} of {source}.",
  "explain.special": "It is a special name that nothing lets out: it is answered here with {answer}.",
  "explain.any": "{type} is answered here with one HINFO record in place of all there is (RFC 8482).",
  "explain.filteredByRule": "{type} is answered here with NODATA ({action}), as rule {rule} wants it. Without that:",
  "explain.filteredBySection": "{type} is answered here with NODATA ({action}), as section `answers` wants it. Without that:",
  "explain.never": "{group} must never get it: it is answered with SERVFAIL.",
  "explain.loop": "It came from {group}, so it is answered at once as a loop.",
  "explain.verdict": "Since {seconds} s the name is known for the {side} side ({type} {finding}).",
  "explain.nearAddresses": "No verdict is held, but addresses of the near side are, and {type} is not compared.",
  "explain.notCompared": "Nothing is known of the name, and {type} is not compared.",
  "explain.groupAnswers": "So {group} answers.",
  "explain.bothAsked": "Nothing is known of the name yet, so both are asked.",
  "explain.farAskedFirst":
    "Nothing is known of the name yet, so {far} is asked for A first, and {near} only if all addresses of that answer are near.",
  "explain.bothAskedForA": "Nothing is known of the name yet, so both are asked for A first.",
  "explain.mayNotAsk": "{client} may not ask: it is refused (`access.clients`). If it were allowed:",
  "cache.nothing": "The cache does not hold the answer.",
  "cache.fresh": "The cache holds the answer ({answer}), fresh for {seconds} s more.",
  "cache.staleAtOnce":
    "The answer in the cache ({answer}) is past its time: it is given at once, as upstream failed or took long just now.",
  "cache.stale": "The answer in the cache ({answer}) is past its time: it is given where upstream fails or takes long.",
  "cache.expired": "The answer in the cache is past its time.",
  "note.pastVersion": "This is a version of the past: what the cache held then, and how upstreams did, is not known.",
  "note.moment": "This is for {at}: what the cache holds then, and how upstreams do, is not known.",
  "note.draft": "This is not in force: nobody was asked, and what the cache would hold is not known.",
  "note.configurationOnly": "This is what the configuration says; cache and verdicts are not known: {reason}.",
  "note.never": "`never` of group {group} forbids it ({pattern}): nothing is sent there.",
  "note.actionByRule": "{action} is as rule {rule} wants it.",
  "note.actionBySection": "{action} is as section `answers` wants it.",
  "note.tooManyAliases":
    "It is the target of {aliases} aliases of the hosts table already: no more are followed, and the answer is SERVFAIL.",
  "note.mayNotAsk": "{client} is not among `access.clients`: it is refused before all this.",
  "note.otherFamilyFirst": "{type} of the name is looked up first: where it has records, the answer is NODATA ({action}).",
  "note.clientName": "{client} is {name} (MAC address {mac}; {source}).",
  "note.routerAsks":
    "{client} is the router, which asks for those behind it: they cannot be told apart. Have DHCP give them the address of Fenliu (/ip/dhcp-server/network set [find] dns-server=ADDRESS).",
  "note.memberAsks": "{client} is a member of group {group}, or may be: the question does not go back there.",
  "whatIf.list": "List {list} of the draft: {source}: {reason}.",
  "whatIf.shortAddresses":
    "The log keeps no whole client addresses: rules for clients are judged by their networks, or as for nobody in particular.",
  "whatIf.manyChanges": "There are more than {changes} different changes: queries of the others are counted, not shown.",
  "problem.never": "A rule sends these names to {group}, which must never get them.",
  "problem.loop": "These questions come from {group}, and would go back there.",
  "problem.rate": "{client} asks faster than `access.rateLimit` allows.",
  "problem.access": "{client} may not ask: it is not among `access.clients`.",
  "problem.fault": "Fenliu itself failed: its log says more.",
  "problem.upstream": "No answer from {group}: {failure}.",
  "problem.servfail": "{group} answers SERVFAIL.",
  "problem.unproven": "Rule {rule} compares two groups, and the far one gave no answer that proves which is right.",
  "problem.emptied": "{group} says that the name exists, and gives no address.",
  "problem.insisted": "Blocked by rule {rule}, and asked for again and again.",
  "problem.insistedByList": "Blocked by rule {rule} (line {line} of list {list}), and asked for again and again.",
  "problem.vanished": "{group} says that there is no such name; this week there were answers.",
  "fix.except": "Except {name} from rule {rule}",
  "fix.pause": "Pause rule {rule} for {client}, 10 minutes",
  "fix.pauseForAll": "Pause rule {rule} for everybody, 10 minutes",
  "fix.host": "Add {name} to the hosts table",
  "fix.flush": "Drop what the cache holds of {name}",
  "fix.fallback": "Ask {fallback} where {group} fails",
  "fix.route": "Send {name} to {group}",
  "fix.exempt": "Exempt {client} from the rate limit",
  "fix.refresh": "Download list {list} now",
  "fix.router": "See what was found on the router, with the commands that mend it",
  "edit.broken": "An expectation would be broken: {reason}.",
  "health.pause": "Rules are paused for everybody until {until}: {rules}.",
  "health.pauseForClient": "Rules are paused for {client} until {until}: {rules}.",
  "health.groupAnswers": "{group} answers in about {ms} ms.",
  "health.groupNotAsked": "{group} was not asked yet.",
  "health.groupDown": "No server of {group} answers.",
  "health.serversSilent": "Silent servers of {group}: {silent} of {all} ({servers}).",
  "health.wellAgainSoon": "{name} has been well for less than half a minute.",
  "health.listWell": "List {list} has {size} entries.",
  "health.listEmpty": "List {list} has no entries: {reason}.",
  "health.listProblem": "A source of list {list} cannot be used: {reason}.",
  "health.listHeld": "A new version of list {list} is held back: {reason}.",
  "health.listNeverDownloaded": "List {list} was never downloaded: {reason}. What stands in for it has {size} entries.",
  "health.listNotRenewed": "List {list} cannot be renewed: {reason}. The last good version serves on, with {size} entries.",
  "health.listOld": "List {list} is to be refreshed every {refresh}, and was last known to be new at {checked}.",
  "health.certificateWell": "The certificate holds until {day}.",
  "health.certificateLate": "The certificate ends on {day}, and is not renewed yet.",
  "health.certificateExpired": "The certificate has expired on {day}.",
  "health.certificateRefused": "The renewed certificate cannot be used: {reason}.",
  "health.expectationsHold": "All {total} expectations hold.",
  "health.expectationsBroken": "{broken} of {total} expectations are broken: {reason}.",
  "health.routerWell": "The router does as it should (checked {checked}).",
  "health.routerDrifted": "The router does not do as it should: {found} findings ({first}).",
  "health.routerUnchecked": "The router could not be checked: {reason}.",
  "health.routerTakes": "The router takes entries for its address lists.",
  "health.routerAway": "The router takes no entries for its address lists: {reason}.",
  "health.logWell": "Queries are recorded.",
  "health.logOff": "Queries are not recorded: `log.queries.enabled` is false.",
  "health.logFailing": "Queries are not recorded: {reason}.",
  "router.clock": "With a clock at {seen} the router believes no certificate: from the next connection on no name resolves.",
  "router.timeServers":
    "Time servers by address: {seen}. Names cannot be resolved before the time is right: after a power cut the clock stays wrong, and no name resolves.",
  "router.server": "The router asks {seen} in place of {host}: rules, hosts and log of this Fenliu do not know its clients.",
  "router.verification": "The router believes any certificate: who is between it and {host} can read and forge every answer.",
  "router.trustStore":
    "DNS may not use the builtin authorities ({seen}), so the router does not believe the certificate of {host}.",
  "router.authority": "The router does not know the authority of the certificate of {host}: while it verifies, no name resolves.",
  "router.revocation":
    "The router wants revocation lists before it believes a certificate, from names that it cannot resolve yet: after a restart no name may resolve.",
  "router.pin": "Nothing tells the router where {host} is: it cannot ask, and no name resolves.",
  "router.otherPin": "The router looks for {host} at {seen}, where this Fenliu is not.",
  "router.peerDns":
    "The servers of the provider tell the router where {host} is. They answer nothing else while DoH is set; where they are dead or lie, no name resolves.",
  "router.servers": "While DoH is set, {seen} are no fallback, but DHCP may hand them to clients, which then pass by {host}.",
  "router.remoteRequests": "The router answers no client.",
  "router.dhcp": "Clients are told of other servers ({seen}): rules and log do not know their questions.",
  "router.ipv6": "Clients are told of other servers over IPv6 ({seen}): rules and log do not know their questions.",
  "router.cacheSize": "The router's cache is full ({seen}): it drops answers that are still good, and names resolve more slowly.",
  "router.concurrency": "Beyond {seen}, the router drops questions: pages load in part.",
  "router.negatives": "For the router these names do not exist, though Fenliu has their addresses: {seen}.",
  "router.adlist": "The list answers 0.0.0.0 before Fenliu is asked, even over static entries: {seen}.",
  "router.forwards": "These names never reach Fenliu: {seen}.",
  "router.redirect": "The rule {seen} catches questions of Fenliu itself: they come back to it, and names do not resolve.",
  "router.fasttrack":
    "Packets of fasttracked connections skip the marks for the address lists of Fenliu: they take the wrong way.",
  "router.vrf": "The router asks from the routing table {seen}, from where it may not reach {host}.",
  "router.containers": "No name resolves in the container {seen}.",
  "router.noChain":
    "Whether the router trusts the certificate of {host} is not checked, because the certificate could not be read: {reason}.",
  "router.idle": "The log of the router has `{line}`: connections to Fenliu end early, or answers come late.",
} as const;

type Places<Template extends string> = Template extends `${string}{${infer Place}}${infer Rest}` ? Place | Places<Rest> : never;

type Values<Code extends SaidCode> = { readonly [Place in Places<(typeof SAID)[Code]>]: string | number };

export function say<Code extends SaidCode>(code: Code, values: Values<Code>): Said {
  const given: Said["values"] = values;
  return { code, values: given, text: SAID[code].replace(/\{(\w+)\}/g, (_, place: string) => String(given[place])) };
}

/** Sentences as one text. */
export function saidText(sentences: readonly Said[]): string {
  return sentences.map(({ text }) => text).join(" ");
}
