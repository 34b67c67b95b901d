import { useState } from "preact/hooks";
import type { Statistics } from "../api/calls.ts";
import { useIsPhone } from "../theme.ts";
import { format, words } from "../words/words.ts";

/** What happened in one span of time. */
export interface Bar {
  readonly atMs: number;
  readonly toMs: number;
  /** Counts by key. */
  readonly values: Readonly<Record<string, number>>;
  /** Where a press leads. */
  readonly href: string;
}

/** Counts on a scale of their own: in one stack, twelve failures would vanish under forty thousand answers. */
export interface Lane {
  readonly label: string;
  /** From the bottom up; each is also the class that colours it. */
  readonly keys: readonly string[];
  /** Share of the height, of all lanes' 1. */
  readonly share: number;
}

interface BarsProps {
  readonly label: string;
  readonly bars: readonly Bar[];
  readonly lanes: readonly Lane[];
  /** The word of a key. */
  readonly wordOf: (key: string) => string;
  /** For a strip above something else. */
  readonly low?: boolean;
  readonly marks?: readonly Mark[];
  readonly gaps?: readonly Gap[];
  /** Called with a span that was drawn, with a pointer or by Shift and arrow keys. */
  readonly onSpan?: (fromMs: number, toMs: number) => void;
}

/** A moment worth a tick, such as a new configuration. */
export interface Mark {
  readonly atMs: number;
  readonly label: string;
  readonly href: string;
}

/** A stretch of time of which nothing is known, or not everything: hatched, because no bar there does not mean that nothing was asked. */
export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly label: string;
}

/** The gaps of the log, in words. */
export function gapsOfLog(gaps: Statistics["gaps"]): readonly Gap[] {
  const { moment, exact } = format.value;
  return gaps.map(({ from, to, lost }) => {
    const span = `${moment(from)} – ${moment(to)}`;
    const label = lost === 0 ? words().parts.notRunning(span) : words().parts.recordsLost(span, exact(lost));
    return { fromMs: Date.parse(from), toMs: Date.parse(to), label };
  });
}

/** Between lanes, in percent of the height. */
const LANE_GAP = 8;
/** What of a lane its bars may fill: its label stands above them. */
const FILLED = 0.84;

/** Stacked bars over time, in lanes. Arrow keys walk along them; Enter follows. */
export function Bars({ label, bars, lanes, wordOf, low = false, marks = [], gaps = [], onSpan }: BarsProps) {
  const [chosen, choose] = useState<number | null>(null);
  /** Where a span begins that is being drawn. */
  const [drawnFrom, drawFrom] = useState<number | null>(null);
  const width = 100 / Math.max(1, bars.length);
  const placed = placeLanes(lanes, bars);
  const shown = chosen === null ? null : (bars[chosen] ?? null);
  const start = bars[0]?.atMs ?? 0;
  const span = (bars.at(-1)?.toMs ?? 1) - start;

  /** Arrow keys walk; with Shift they draw a span, which Enter takes. */
  const walk = (event: KeyboardEvent, index: number) => {
    if (event.key === "Enter" && drawnFrom !== null && drawnFrom !== index) {
      event.preventDefault();
      finishSpan(index);
    }
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -index, End: bars.length - 1 - index }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    drawFrom(event.shiftKey && onSpan !== undefined ? (drawnFrom ?? index) : null);
    const next = Math.min(bars.length - 1, Math.max(0, index + step));
    const links = event.currentTarget instanceof Element ? event.currentTarget.parentNode?.querySelectorAll("a.bar") : null;
    const link = links?.[next];
    if (link instanceof SVGElement) link.focus();
  };
  const finishSpan = (index: number) => {
    const from = drawnFrom === null ? null : bars[Math.min(drawnFrom, index)];
    const to = drawnFrom === null ? null : bars[Math.max(drawnFrom, index)];
    drawFrom(null);
    if (from && to && from !== to) onSpan?.(from.atMs, to.toMs);
  };

  const isPhone = useIsPhone();
  const say = words().parts;
  const hint = isPhone ? say.barsHintPhone : `${say.barsHint} ${onSpan === undefined ? "" : say.spanHint}`;
  return (
    <figure class={low ? "bars low" : "bars"} aria-label={label}>
      <div class="bars-frame">
        <svg width="100%" height="100%" onPointerLeave={() => choose(null)}>
          <title>{label}</title>
          <defs>
            <pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <rect width="2" height="4" class="hatch" />
            </pattern>
            <pattern id="gap-hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">
              <rect width="1.5" height="8" class="gap-hatch" />
            </pattern>
          </defs>
          {bars.map((bar, index) => (
            <a
              key={bar.atMs}
              href={bar.href}
              class="bar"
              tabindex={index === (chosen ?? bars.length - 1) ? 0 : -1}
              aria-label={barText(bar, wordOf, gaps)}
              draggable={false}
              onKeyDown={(event) => walk(event, index)}
              onFocus={() => choose(index)}
              onBlur={() => choose(null)}
              onPointerEnter={() => choose(index)}
              {...(onSpan === undefined ? {} : { onPointerDown: () => drawFrom(index), onPointerUp: () => finishSpan(index) })}
            >
              <rect
                x={`${index * width}%`}
                width={`${width}%`}
                height="100%"
                class={index === chosen || isWithin(index, drawnFrom, chosen) ? "span chosen" : "span"}
              />
              {placed.flatMap((lane) =>
                stack(bar, lane).map(({ key, top, height }) => (
                  <rect
                    key={key}
                    class={`seg ${key}`}
                    x={`${index * width}%`}
                    width={`${width}%`}
                    y={`${top}%`}
                    height={`max(1px, ${height}%)`}
                  />
                )),
              )}
            </a>
          ))}
          {gaps.map(({ fromMs, toMs }) => (
            <rect
              key={fromMs}
              class="gap"
              x={`${((Math.max(start, fromMs) - start) / span) * 100}%`}
              width={`max(2px, ${((Math.min(start + span, toMs) - Math.max(start, fromMs)) / span) * 100}%)`}
              height="100%"
            />
          ))}
        </svg>
        {placed.map((lane) => (
          <span key={lane.label} class="bars-scale small soft" style={{ top: `${lane.top}%` }}>
            {lane.label} · {words().parts.upTo(format.value.count(lane.most))}
          </span>
        ))}
        {marks.map((mark) => (
          <a
            key={mark.atMs}
            class="bars-mark"
            href={mark.href}
            title={mark.label}
            style={{ left: `${((mark.atMs - start) / span) * 100}%` }}
          >
            <span class="hidden">{mark.label}</span>
          </a>
        ))}
      </div>
      <div class="bars-axis small soft" aria-hidden="true">
        {axisTimes(start, span).map((time) => (
          <span key={time} style={{ left: `${((time - start) / span) * 100}%` }}>
            {axisText(time, span)}
          </span>
        ))}
      </div>
      <figcaption class="small soft">{shown === null ? hint : barText(shown, wordOf, gaps)}</figcaption>
    </figure>
  );
}

type PlacedLane = Lane & { readonly top: number; readonly height: number; readonly most: number };

function placeLanes(lanes: readonly Lane[], bars: readonly Bar[]): readonly PlacedLane[] {
  const room = 100 - LANE_GAP * (lanes.length - 1);
  let top = 0;
  return lanes.map((lane) => {
    const height = lane.share * room;
    const most = Math.max(0, ...bars.map(({ values }) => lane.keys.reduce((sum, key) => sum + (values[key] ?? 0), 0)));
    const placed = { ...lane, top, height, most };
    top += height + LANE_GAP;
    return placed;
  });
}

function stack({ values }: Bar, { keys, top, height, most }: PlacedLane) {
  let bottom = top + height;
  return keys.flatMap((key) => {
    const value = values[key] ?? 0;
    if (value === 0) return [];
    const size = (value / most) * height * FILLED;
    bottom -= size;
    return [{ key, top: bottom, height: size }];
  });
}

function barText({ atMs, toMs, values }: Bar, wordOf: (key: string) => string, gaps: readonly Gap[]): string {
  const { clock, moment, exact } = format.value;
  const counted = Object.entries(values).flatMap(([key, value]) => (value > 0 ? [`${wordOf(key)} ${exact(value)}`] : []));
  const unknown = gaps.filter((gap) => gap.fromMs < toMs && gap.toMs > atMs).map(({ label }) => label);
  const said = [...counted, ...unknown];
  return `${moment(atMs)} – ${clock(toMs)} · ${said.length === 0 ? words().parts.nothing : said.join(" · ")}`;
}

function isWithin(index: number, from: number | null, to: number | null): boolean {
  return from !== null && to !== null && index >= Math.min(from, to) && index <= Math.max(from, to);
}

/** Lengths between two times of an axis, which people can read, in minutes. */
const AXIS_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880].map((minutes) => minutes * 60_000);
const MOST_TIMES = 6;
/** What of the width a time needs. */
const TIME_SHARE = 0.05;

/** Round times of the browser's zone within the span, none so near an end that it is cut off. */
function axisTimes(start: number, span: number): readonly number[] {
  const step = AXIS_STEPS.find((each) => span / each <= MOST_TIMES) ?? span / 4;
  const zoneMs = new Date(start).getTimezoneOffset() * 60_000;
  const first = Math.ceil((start - zoneMs) / step) * step + zoneMs;
  const times = Array.from({ length: MOST_TIMES + 1 }, (_, index) => first + index * step);
  return times.filter((time) => time - start > TIME_SHARE * span && time - start < (1 - TIME_SHARE) * span);
}

function axisText(time: number, span: number): string {
  const { day, clock } = format.value;
  return span > 2 * 86_400_000 ? day(time) : clock(time).slice(0, 5);
}
