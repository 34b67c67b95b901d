/** What `fenliu --help` prints. */
export const USAGE = `fenliu: a DNS server that sends each question to the right upstream

  fenliu serve [-c FILE]           answer questions (also without a command)
  fenliu check [-c FILE]           read the configuration, report every problem, change nothing
  fenliu query NAME [TYPE] [@SERVER] [--ca FILE]
                                   ask a server, as @192.0.2.1:53, @tls://… or @https://…; without one, the Fenliu of -c FILE
  fenliu lists [-c FILE]           what the lists hold, how old it is, and what is wrong with it
  fenliu lists update [NAME…] [--accept NAME]… [--ca FILE]
                                   download lists now, all or these; --accept takes one whose size has changed by more than a third
  fenliu explain NAME [TYPE] [--client WHO] [--resolve] [--under VERSION]
                                   what becomes of a question, and why; WHO is an address or a client id; --resolve asks it too
  fenliu log [FIELD=VALUE…] [--limit N] [--follow] [--full]
                                   what was asked, the newest last; a word without = is a name
  fenliu log ID                    all that is known of one query
  fenliu flush NAME [--subtree]    drop what is held of a name, and of those below it
  fenliu demo                      try everything without the internet
  fenliu import [KIND] PATH [-o FILE] [--proxy URL] [--allow-leaks] [--force]
                                   make a fenliu.yaml of another server's configuration, and say what is not in it

  fenliu COMMAND --help            more of one command
  -c, --config FILE   the configuration; without it fenliu.yaml in this folder, else the defaults
      --json          output for scripts
      --version       -h, --help
`;

/** The lines of `USAGE` about one command. */
export function entriesOf(command: string): string {
  const [, entries = ""] = USAGE.split("\n\n");
  const own = `${entries}\n`.split(/^(?= {2}fenliu )/m).filter((entry) => entry.startsWith(`  fenliu ${command} `));
  return own.join("");
}

/** What `fenliu COMMAND --help` prints. */
export function helpOf(command: string): string {
  const more = MORE[command];
  return `${entriesOf(command)}${more === undefined ? "" : `\n${more}`}\n  fenliu --help           everything else\n`;
}

const CA = "      --ca FILE       a PEM file with the authority to trust instead of the system's\n";

const MORE: Readonly<Record<string, string>> = {
  query: CA,
  lists: CA,
  explain: `The type is A where none is said. Without a running server the configuration alone is explained.

      --client WHO      as if this address, or this client id, asked
      --resolve         ask it as well, and show what came of it
      --under VERSION   as it was decided then: the version that \`fenliu log ID\` shows
`,
  log: `All fields must hold. One that is given several times means any of its values; ! before a value means none of those.

  name        this name and all below it; full:NAME it alone; * for any characters; /a regular expression/
  client      an address, a prefix such as 10.0.7.0/24, or a client id
  type        a mnemonic such as HTTPS, or TYPE65, or 65
  rcode       a mnemonic such as NXDOMAIN; none where nothing was sent
  rule        the rule that decided
  upstream    a group, or a server
  source      hosts, special, rule, cache, stale, upstream, failure or refused
  action      what was done, such as block or type65:*
  answer      an address, or other data that was answered
  minMs       no faster than this, in milliseconds
  from, to    21:03, 11-21 21:03 or 2026-11-21T21:03 where this machine is, as times are shown here; 2026-11-21T21:03Z; or 1h for an hour ago

  -n, --limit N       at most so many, the newest: 100, or 10 with --follow, where nothing is said
  -f, --follow        go on with what comes, until Ctrl-C, also when the server is restarted
                      (\`from\` goes with it, and \`to\` does not)
      --full          of each query all that is known
                      (without it a terminal is shown what has room in a line; … stands for what was cut out of a text)

  fenliu log www.example.com from=21:00 to=21:10 --full
  fenliu log 'rcode=!NOERROR' client=192.168.88.20 --follow
`,
  flush: `      --subtree       the names below it too; \`fenliu flush . --subtree\` drops everything
`,
  import: `KIND is one of mosdns, adguardhome, smartdns, dnsmasq, mihomo and chinadns-ng; without it the file says what it is. PATH is the main
configuration, or its folder; what it includes is read too, and nothing is fetched. Without -o the file goes to stdout, and the report to stderr.

  -o, --output FILE   write it there, with the lists that it needs in the folder lists beside it
      --proxy URL     the proxy that a proxy of the source stands for, such as socks5://127.0.0.1:7890
      --allow-leaks   write it although names could go to another side than before
      --force         also where there is a file already

Exit code 1 and nothing written: a name could go to another side than before; the lines stand at the top of the report.
`,
};
