import { type Document, isScalar, parseDocument, visit } from "yaml";
import { ControlError } from "../admin/control.ts";
import { secretFinder } from "./views.ts";

/** A text of the configuration whose secrets are replaced by marks, `•••1`, and what the marks stand for. */
interface HiddenText {
  readonly text: string;
  /** As they are written, the first mark's first. */
  readonly secrets: readonly string[];
}

/** YAML takes a mark for a plain scalar, also within `[…]` and `{…}`. */
const MARK = "•••";

export function hasMarks(text: string): boolean {
  return text.includes(MARK);
}

/** Hides what `GET /config` hides. A text that is no YAML has no places to tell: then every line may have a secret. */
export function withHiddenSecrets(text: string): HiddenText {
  const document = parseDocument(text, { strict: false });
  const written = valuesOf(document);
  if (written === undefined) return { text: text.replace(/\S.*$/gm, MARK), secrets: [] };
  const isSecret = secretFinder(written);
  const secrets: string[] = [];
  let shown = "";
  let end = 0;
  visit(document, {
    Scalar(key, node, path) {
      if (key === "key" || node.range == null) return;
      const [from, to] = node.range;
      if (from < end || !isSecret(node.value, keysOf(path))) return;
      secrets.push(text.slice(from, to));
      shown += `${text.slice(end, from)}${MARK}${secrets.length}`;
      end = to;
    },
  });
  return { text: shown + text.slice(end), secrets };
}

/** @throws ControlError `invalid` for a mark that stands for nothing. */
export function withSecrets(text: string, { secrets }: Pick<HiddenText, "secrets">): string {
  return text.replace(new RegExp(`${MARK}(\\d*)`, "g"), (mark, number: string) => {
    const secret = secrets[Number(number) - 1];
    if (secret === undefined)
      throw new ControlError("invalid", `\`${mark}\` stands for no hidden part of the file: write what belongs there`);
    return secret;
  });
}

/** undefined = the text is no YAML, or its aliases make too much of it. */
function valuesOf(document: Document): unknown {
  try {
    return document.errors.length > 0 ? undefined : (document.toJS() ?? null);
  } catch {
    return undefined;
  }
}

function keysOf(path: readonly unknown[]): readonly string[] {
  return path.flatMap((each) => {
    const key = typeof each === "object" && each !== null && "key" in each ? each.key : null;
    return isScalar(key) ? [String(key.value)] : [];
  });
}
