import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { words } from "../words/words.ts";

interface VirtualListProps<T> {
  readonly label: string;
  readonly items: readonly T[];
  readonly keyOf: (item: T) => string | number;
  readonly rowHeight: number;
  /** @param tabIndex for what in the row takes the focus: one row is in the order of Tab, and arrow keys walk to the others. */
  readonly row: (item: T, tabIndex: 0 | -1) => ComponentChildren;
  /** Called when the end comes into sight. */
  readonly onEnd?: () => void;
  /** What stands below the last row. */
  readonly foot?: ComponentChildren;
}

/** Rows drawn beyond the visible ones, each way. */
const MARGIN = 12;

/**
 * A list of rows of one height, of which only those in sight are drawn. Rows that come at the top while the reader is further down do not move what is read.
 */
export function VirtualList<T>({ label, items, keyOf, rowHeight, row, onEnd, foot }: VirtualListProps<T>) {
  const frame = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  /** The row that had the focus last. */
  const [current, setCurrent] = useState<string | number | null>(null);
  const first = items[0];
  const firstKey = first === undefined ? null : keyOf(first);
  const before = useRef({ firstKey, rowHeight });

  useEffect(() => {
    const box = frame.current;
    if (box === null) return;
    const measure = () => setView({ top: box.scrollTop, height: box.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    box.addEventListener("scroll", measure, { passive: true });
    measure();
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", measure);
    };
  }, []);

  useEffect(() => {
    const box = frame.current;
    const { firstKey: old } = before.current;
    before.current = { firstKey, rowHeight };
    if (box === null || box.scrollTop < rowHeight || old === null || old === firstKey) return;
    const added = items.findIndex((item) => keyOf(item) === old);
    if (added > 0) box.scrollTop += added * rowHeight;
  }, [firstKey, rowHeight]);

  const from = Math.max(0, Math.floor(view.top / rowHeight) - MARGIN);
  const to = Math.min(items.length, Math.ceil((view.top + view.height) / rowHeight) + MARGIN);
  const drawn = items.slice(from, to);
  const currentAt = drawn.findIndex((item) => keyOf(item) === current);
  const tabbed = currentAt === -1 ? Math.min(Math.ceil(view.top / rowHeight), to - 1) : from + currentAt;
  const isEndNear = to === items.length && items.length > 0;
  useEffect(() => {
    if (isEndNear) onEnd?.();
  }, [isEndNear, items.length]);

  return (
    <div class="list" ref={frame}>
      <ol
        aria-label={label}
        style={{ height: `${items.length * rowHeight}px` }}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
          event.preventDefault();
          walkRows(event.key === "ArrowDown" ? 1 : -1);
        }}
      >
        {drawn.map((item, index) => (
          <li
            key={keyOf(item)}
            onFocusIn={() => setCurrent(keyOf(item))}
            aria-setsize={items.length}
            aria-posinset={from + index + 1}
            style={{ transform: `translateY(${(from + index) * rowHeight}px)`, height: `${rowHeight}px` }}
          >
            {row(item, from + index === tabbed ? 0 : -1)}
          </li>
        ))}
      </ol>
      {foot}
    </div>
  );
}

/** Moves the focus along the rows that are drawn, from the one that has it or is open: `j` and `k`, as arrow keys do. */
export function walkRows(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>(".list .row")];
  const focused = rows.indexOf(document.activeElement as HTMLElement);
  const at = focused === -1 ? rows.findIndex((row) => row.classList.contains("open")) : focused;
  const next = rows[at === -1 ? 0 : at + step];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

interface OpenedProps {
  readonly label: string;
  /** Of the row, in its `data-row`. */
  readonly rowKey: string | number;
  /** Where a press on the cross leads. */
  readonly closed: string;
  readonly children: ComponentChildren;
}

/** What a row opens, beside the list or over it: takes the focus, and gives it back to the row when it is closed. */
export function Opened({ label, rowKey, closed, children }: OpenedProps) {
  const box = useRef<HTMLElement>(null);
  // At once: the focus is never taken from where the next key has put it.
  useLayoutEffect(() => {
    const view = box.current;
    view?.focus({ preventScroll: true });
    return () => {
      const focused = document.activeElement;
      if (focused !== document.body && view?.contains(focused) !== true) return;
      document.querySelector<HTMLElement>(`.list a.row[data-row="${CSS.escape(String(rowKey))}"]`)?.focus();
    };
  }, [rowKey]);
  return (
    <aside ref={box} class="query-view" aria-label={label} tabIndex={-1}>
      <a class="button plain close" href={closed} aria-label={words().parts.close}>
        ✕
      </a>
      {children}
    </aside>
  );
}
