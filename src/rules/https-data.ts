/** SvcParamKeys (RFC 9460 §14.3.2). */
const ALPN = 1;
const PORT = 3;

/** The RDATA of a TYPE65 record in ServiceMode whose target is its owner (RFC 9460 §2.2, §2.5.2). */
export function httpsData({ alpn, port }: { readonly alpn: readonly string[]; readonly port: number | null }): Uint8Array {
  const protocols = alpn.map((protocol) => Buffer.from(protocol, "latin1"));
  const alpnValue = Buffer.concat(protocols.flatMap((protocol) => [Uint8Array.of(protocol.length), protocol]));
  return Buffer.concat([
    Uint8Array.of(0, 1, 0),
    ...(alpn.length === 0 ? [] : [parameter(ALPN, alpnValue)]),
    ...(port === null ? [] : [parameter(PORT, Uint8Array.of(port >> 8, port & 255))]),
  ]);
}

function parameter(key: number, value: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(0, key, value.length >> 8, value.length & 255), value]);
}
