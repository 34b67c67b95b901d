/** Of RFC 3492, §5. */
const [BASE, FEWEST, MOST, SKEW, DAMP] = [36, 1, 26, 38, 700];
const FIRST_CODE = 128;
const FIRST_BIAS = 72;

/**
 * The labels of a name as they are meant to be read, where one of them is an A-label (`xn--…`); null = none is. A label stays as it is where the browser would
 * not make the very same A-label of its letters: such letters are not allowed in names.
 */
export function lettersOf(name: string): readonly string[] | null {
  const labels = name.split(".");
  const letters = labels.map((label) => (/^xn--[a-z0-9-]+$/.test(label) ? (unicodeLabel(label) ?? label) : label));
  return letters.some((label, index) => label !== labels[index]) ? letters : null;
}

function unicodeLabel(label: string): string | null {
  const letters = decode(label.slice("xn--".length));
  try {
    return letters !== null && new URL(`http://${letters}`).hostname === label ? letters : null;
  } catch {
    return null;
  }
}

/** RFC 3492, §6.2. */
function decode(text: string): string | null {
  const basicEnd = Math.max(0, text.lastIndexOf("-"));
  const codes = Array.from(text.slice(0, basicEnd), (character) => character.charCodeAt(0));
  let [at, code, place, bias] = [basicEnd === 0 ? 0 : basicEnd + 1, FIRST_CODE, 0, FIRST_BIAS];
  while (at < text.length) {
    const before = place;
    for (let [weight, k] = [1, BASE]; ; k += BASE) {
      if (at >= text.length) return null;
      // a to z are 0 to 25, digits go on from there.
      const digit = (Number.parseInt(text.charAt(at++), BASE) + 26) % BASE;
      place += digit * weight;
      const threshold = Math.min(MOST, Math.max(FEWEST, k - bias));
      if (digit < threshold) break;
      weight *= BASE - threshold;
    }
    const length = codes.length + 1;
    bias = adapted((place - before) / (before === 0 ? DAMP : 2), length);
    code += Math.floor(place / length);
    if (!(code <= 0x10ffff)) return null;
    place %= length;
    codes.splice(place++, 0, code);
  }
  return String.fromCodePoint(...codes);
}

/** RFC 3492, §6.1. */
function adapted(distance: number, length: number): number {
  let delta = Math.floor(distance);
  delta += Math.floor(delta / length);
  let k = 0;
  for (; delta > ((BASE - FEWEST) * MOST) / 2; k += BASE) delta = Math.floor(delta / (BASE - FEWEST));
  return k + Math.floor(((BASE - FEWEST + 1) * delta) / (delta + SKEW));
}
