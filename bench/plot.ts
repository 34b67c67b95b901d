import type { Load, Transport } from "./load.ts";
import { loadText, type ReportParts, TITLES } from "./report.ts";
import type { Sample } from "./rounds.ts";
import { median } from "./statistics.ts";

/** Pixels. */
const WIDTH = 760;
const NAMES = 190;
const VALUES = 60;
const ROW = 24;
const HEAD = 34;
const MARGIN = 12;

/** Those of this project stand out; greys and blues that people who see few colours tell apart, on white and on black. */
const COLOURS = { own: "#2f6fd0", others: "#8a939f", range: "#c2410c", text: "#6b7280" } as const;

interface Bar {
  readonly name: string;
  readonly micros: number;
  readonly lowest: number;
  readonly highest: number;
}

/** A picture of the processor time of each server under the loads over one transport: medians as bars, lowest to highest as a line. @returns SVG. */
export function plotOf(transport: Transport, { entrants, loads, samples }: ReportParts): string {
  const groups = loads
    .filter((load) => load.transport === transport)
    .map((load) => ({ load, bars: entrants.flatMap(({ name }) => barOf(name, load, samples)) }))
    .filter(({ bars }) => bars.length > 0);
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ highest }) => highest)));
  const toX = (micros: number) => NAMES + (micros / most) * (WIDTH - NAMES - VALUES);
  const parts: string[] = [`<title>${TITLES[transport]}: processor time of a query, in µs</title>`];
  let y = MARGIN;
  for (const { load, bars } of groups) {
    parts.push(text(MARGIN, y + 16, `${TITLES[transport]}, ${loadText(load)}: CPU µs a query`, "font-weight='600'"));
    y += HEAD;
    for (const bar of bars) {
      parts.push(...rowOf(bar, y, toX));
      y += ROW;
    }
    y += MARGIN;
  }
  const size = `width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" font-size="13">\n${parts.join("\n")}\n</svg>\n`;
}

function barOf(name: string, load: Load, samples: readonly Sample[]): readonly Bar[] {
  const costs = samples.filter((sample) => sample.load === load && sample.server === name).map((each) => each.cpuMicrosPerQuery);
  if (costs.length === 0) return [];
  return [{ name, micros: median(costs), lowest: Math.min(...costs), highest: Math.max(...costs) }];
}

function rowOf({ name, micros, lowest, highest }: Bar, y: number, toX: (micros: number) => number): readonly string[] {
  const colour = name.startsWith("Fenliu") ? COLOURS.own : COLOURS.others;
  const middle = y + ROW / 2 - 2;
  return [
    text(NAMES - 8, y + 15, name, "text-anchor='end'"),
    `<rect x="${NAMES}" y="${y + 2}" width="${(toX(micros) - NAMES).toFixed(1)}" height="${ROW - 8}" fill="${colour}"/>`,
    `<path d="M${toX(lowest).toFixed(1)} ${middle}H${toX(highest).toFixed(1)}" stroke="${COLOURS.range}" stroke-width="2"/>`,
    text(toX(highest) + 6, y + 15, micros.toFixed(1)),
  ];
}

function text(x: number, y: number, content: string, attributes = ""): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x.toFixed(1)}" y="${y}" fill="${COLOURS.text}" ${attributes}>${escaped}</text>`;
}
