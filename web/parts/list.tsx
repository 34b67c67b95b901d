import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface VirtualListProps<T> {
  readonly label: string;
  readonly items: readonly T[];
  readonly keyOf: (item: T) => string | number;
  readonly rowHeight: number;
  readonly row: (item: T, index: number) => ComponentChildren;
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
  const isEndNear = to === items.length && items.length > 0;
  useEffect(() => {
    if (isEndNear) onEnd?.();
  }, [isEndNear, items.length]);

  return (
    <div class="list" ref={frame}>
      <ol aria-label={label} style={{ height: `${items.length * rowHeight}px` }}>
        {items.slice(from, to).map((item, index) => (
          <li
            key={keyOf(item)}
            aria-setsize={items.length}
            aria-posinset={from + index + 1}
            style={{ transform: `translateY(${(from + index) * rowHeight}px)`, height: `${rowHeight}px` }}
          >
            {row(item, from + index)}
          </li>
        ))}
      </ol>
      {foot}
    </div>
  );
}

/** Moves the focus along the rows that are drawn: `j` and `k`, as arrow keys do. */
export function walkRows(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>(".list a.row")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const next = rows[at === -1 ? 0 : at + step];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
