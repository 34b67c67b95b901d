/** A type as records show it: a mnemonic in upper case where there is one, else TYPE123; of `https`, `TYPE65` and `65` it is `HTTPS`. */
export function typeText(text: string): string {
  const upper = text.toUpperCase();
  const [, digits = ""] = /^(?:TYPE)?(\d{1,5})$/.exec(upper) ?? [];
  return digits === "" ? upper : (TYPE_MNEMONICS.get(Number(digits)) ?? `TYPE${Number(digits)}`);
}

/** Whether records can show such a type: a misspelt mnemonic would be searched for in vain. */
export function isTypeText(text: string): boolean {
  const [, digits = ""] = /^TYPE(\d{1,5})$/.exec(text) ?? [];
  return digits === "" ? mnemonics.has(text) : Number(digits) <= 0xffff;
}

/** The mnemonics of `dns/types.ts`, which the log does not import; a test holds the two together. */
const TYPE_MNEMONICS = new Map<number, string>(
  `1 A 2 NS 5 CNAME 6 SOA 12 PTR 13 HINFO 15 MX 16 TXT 17 RP 18 AFSDB 28 AAAA 29 LOC 33 SRV 35 NAPTR 36 KX 37 CERT 39 DNAME 41 OPT 42 APL 43 DS
   44 SSHFP 45 IPSECKEY 46 RRSIG 47 NSEC 48 DNSKEY 49 DHCID 50 NSEC3 51 NSEC3PARAM 52 TLSA 53 SMIMEA 55 HIP 59 CDS 60 CDNSKEY 61 OPENPGPKEY
   62 CSYNC 63 ZONEMD 64 SVCB 65 HTTPS 99 SPF 108 EUI48 109 EUI64 249 TKEY 250 TSIG 251 IXFR 252 AXFR 253 MAILB 254 MAILA 255 ANY 256 URI 257 CAA`
    .matchAll(/(\d+) (\S+)/g)
    .map(([, number, mnemonic = ""]) => [Number(number), mnemonic]),
);

const mnemonics: ReadonlySet<string> = new Set(TYPE_MNEMONICS.values());
