import { useEffect, useState } from "preact/hooks";

/** The width below which the style sheets lay things out for a phone. */
const QUERY = "(max-width: 719px)";

export function useIsPhone(): boolean {
  const [list] = useState(() => matchMedia(QUERY));
  const [is, set] = useState(list.matches);
  useEffect(() => {
    const change = () => set(list.matches);
    list.addEventListener("change", change);
    return () => list.removeEventListener("change", change);
  }, [list]);
  return is;
}
