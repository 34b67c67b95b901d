/** What a filter names by this was sent no reply: the same word as in the counts of a summary. Records have null there. */
export const NOTHING_SENT = "NONE";

/** Whether records can show such a response code, or it stands for those that show none. */
export function isRcodeText(text: string): boolean {
  return text === NOTHING_SENT || RCODE_MNEMONICS.has(text) || /^RCODE\d{1,4}$/.test(text);
}

/** The mnemonics of `dns/types.ts`, which the log does not import; a test holds the two together. */
const RCODE_MNEMONICS: ReadonlySet<string> = new Set(
  "NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE BADVERS".split(" "),
);
