/**
 * A name with its labels in reverse order, `www.example.com` as `com.example.www`, so that a name and all names below it stand together
 * in an index. Its own inverse. `.` and the empty text stay as they are.
 */
export function reversedName(name: string): string {
  if (name === ".") return name;
  return (name.includes("\\") ? labelsWithEscapes(name) : name.split(".")).reverse().join(".");
}

/**
 * The texts that `reversedName` gives for the names below this one: `from` included, `to` not, compared octet by octet. Everything lies
 * below the root.
 */
export function reversedBelow(name: string): { readonly from: string; readonly to: string } {
  if (name === ".") return { from: "", to: "\u{10ffff}" };
  const reversed = reversedName(name);
  // The character after the full stop.
  return { from: `${reversed}.`, to: `${reversed}/` };
}

/** In presentation form a backslash takes the special meaning of the full stop after it (RFC 1035 §5.1). */
function labelsWithEscapes(name: string): string[] {
  const labels: string[] = [];
  let start = 0;
  for (let index = 0; index < name.length; index++) {
    if (name[index] === "\\") index++;
    else if (name[index] === ".") {
      labels.push(name.slice(start, index));
      start = index + 1;
    }
  }
  labels.push(name.slice(start));
  return labels;
}
