import { crc32 } from "node:zlib";
import type { Name } from "../dns/name.ts";
import { TYPE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";
import { readIfThere, replaceFile } from "../lib/files.ts";
import { recentlyUsed } from "../lib/recently-used.ts";
import { errorText } from "../lib/text.ts";
import type { CompareOptions } from "../rules/options.ts";
import type { Classification } from "./classify.ts";
import type { Resolver } from "./types.ts";

export type Side = "near" | "far";

/** Which side answers a name, and why. */
export interface Verdict {
  readonly side: Side;
  /** The class of the near answer. */
  readonly classification: Classification;
  /** The type that was compared: A or AAAA. */
  readonly type: number;
  /** false = the verdict says more about an outage of the near group, or about a name without addresses, than about where the name belongs. */
  readonly firm: boolean;
  /** On the scale of `Clock.now`. */
  readonly foundAtMs: number;
  /** The fingerprint of the sets that gave the verdict. */
  readonly fingerprint: string;
}

/** Verdicts remembered at most, of about 200 bytes each. A forgotten verdict costs one comparison. */
export const MAX_VERDICTS = 50_000;

/**
 * How long a verdict lives that is not firm, unless `verdict` is shorter. An outage of the near group must not send its names abroad for a day. During
 * the outage each name waits for the near group only once in this time.
 */
export const PROVISIONAL_MS = 5 * 60_000;

/** The verdicts on names. Two rules that compare alike share them. */
export class Verdicts {
  readonly #byKey = recentlyUsed<string, Verdict>(MAX_VERDICTS);

  /** null = there is no verdict, or it has expired. */
  get(key: string, { nowMs, verdictMs, fingerprint }: VerdictTerms): Verdict | null {
    const verdict = this.#byKey.get(key);
    if (verdict === undefined) return null;
    const lifeMs = verdict.firm ? verdictMs : Math.min(verdictMs, PROVISIONAL_MS);
    if (verdict.fingerprint === fingerprint && nowMs - verdict.foundAtMs < lifeMs) return verdict;
    this.#byKey.delete(key);
    return null;
  }

  put(key: string, verdict: Verdict): void {
    this.#byKey.set(key, verdict);
  }

  delete(key: string): void {
    this.#byKey.delete(key);
  }

  /** Forgets the verdicts on answers of this near group. */
  dropNear(group: string): void {
    for (const key of [...this.#byKey.keys()]) if (key.split("\0").at(-3) === group) this.#byKey.delete(key);
  }

  /** From the least to the most recently used verdict. Some may have expired. */
  *entries(): Generator<readonly [key: string, verdict: Verdict]> {
    for (const key of this.#byKey.rkeys()) {
      const verdict = this.#byKey.peek(key);
      if (verdict !== undefined) yield [key, verdict];
    }
  }

  get size(): number {
    return this.#byKey.size;
  }
}

interface VerdictTerms {
  readonly nowMs: number;
  readonly verdictMs: number;
  readonly fingerprint: string;
}

/** Domain names end in a zero byte, and names of groups and lists contain none, so keys are unambiguous. */
export function verdictKey(name: Name, { near, far, keepNearIf, first }: CompareOptions): string {
  // What both groups said together shows nothing of what far alone would have said; no list has a name with `#`.
  return `${name}${near}\0${far}\0${keepNearIf}${first === "far" ? "#far" : ""}`;
}

/** The verdict on a name by these options of a comparison; null = there is none. */
export function knownVerdict({ verdicts, classifier, clock }: Resolver, name: Name, compare: CompareOptions): Verdict | null {
  const { fingerprint } = classifier.near(compare.keepNearIf);
  return verdicts.get(verdictKey(name, compare), { nowMs: clock.now(), verdictMs: compare.verdictMs, fingerprint });
}

/**
 * Writes the verdicts to a file for the next start, atomically. The caller runs one save at a time.
 * @throws the system's error when the file cannot be written.
 */
export async function saveVerdicts(verdicts: Verdicts, path: string, clock: Clock): Promise<void> {
  const startedWallMs = clock.wallMs() - clock.now();
  const entries = [...verdicts.entries()].map(
    ([key, { side, classification, type, firm, foundAtMs, fingerprint }]): Stored => [
      key,
      side,
      classification,
      type,
      firm,
      Math.round(startedWallMs + foundAtMs),
      fingerprint,
    ],
  );
  const body = JSON.stringify(entries);
  // Only the owner may read the file: it shows which names were looked up.
  await replaceFile(path, `${HEADER}${checksum(body)}\n${body}`);
}

/** The result of reading the file. */
interface VerdictLoad {
  readonly restored: number;
  /** Why the file was not read; null = it was read, or there is no file. */
  readonly problem: string | null;
}

/** Reads the verdicts of a file, with their age. To be called before the first query. A damaged file is reported and not used at all. */
export async function loadVerdicts(verdicts: Verdicts, path: string, clock: Clock): Promise<VerdictLoad> {
  const { stored, problem } = await readStored(path);
  let restored = 0;
  for (const [key, side, classification, type, firm, foundWallMs, fingerprint] of stored) {
    const ageMs = clock.wallMs() - foundWallMs;
    // The clock was set back since, so the age is unknown.
    if (!(ageMs >= 0)) continue;
    verdicts.put(key, { side, classification, type, firm, foundAtMs: clock.now() - ageMs, fingerprint });
    restored++;
  }
  return { restored, problem };
}

/** The file is this header, the CRC-32 of the rest, a line feed, and JSON. The number goes up with each change of the format or of the keys. */
const HEADER = "fenliu verdicts 1 ";

/** Key, side, classification, type, firm, time when found (wall clock, ms), fingerprint. */
type Stored = readonly [string, Side, Classification, number, boolean, number, string];

/** More than `MAX_VERDICTS` verdicts on the longest names need. */
const MAX_FILE_BYTES = MAX_VERDICTS * 2048;

interface FileContent {
  readonly stored: readonly Stored[];
  readonly problem: string | null;
}

async function readStored(path: string): Promise<FileContent> {
  try {
    const file = await readIfThere(path, MAX_FILE_BYTES);
    return file === null ? { stored: [], problem: null } : parseStored(file.toString("utf8"));
  } catch (error) {
    return unusable(errorText(error));
  }
}

function parseStored(text: string): FileContent {
  const end = text.indexOf("\n");
  if (!text.startsWith(HEADER) || end < 0) return unusable("it is not a file of verdicts of this version");
  const body = text.slice(end + 1);
  if (text.slice(HEADER.length, end) !== checksum(body)) return unusable("it is damaged");
  const stored: unknown = JSON.parse(body);
  return Array.isArray(stored) && stored.every(isStored) ? { stored, problem: null } : unusable("it holds what is no verdict");
}

function unusable(problem: string): FileContent {
  return { stored: [], problem };
}

function isStored(entry: unknown): entry is Stored {
  if (!Array.isArray(entry) || entry.length !== 7) return false;
  const [key, side, classification, type, firm, foundWallMs, fingerprint]: unknown[] = entry;
  return (
    typeof key === "string" &&
    (side === "near" || side === "far") &&
    CLASSIFICATIONS.some((known) => known === classification) &&
    (type === TYPE.A || type === TYPE.AAAA) &&
    typeof firm === "boolean" &&
    typeof foundWallMs === "number" &&
    typeof fingerprint === "string"
  );
}

const CLASSIFICATIONS: readonly Classification[] = ["kept", "foreign", "void", "empty", "failed", "silent"];

function checksum(body: string): string {
  return crc32(body).toString(16);
}
