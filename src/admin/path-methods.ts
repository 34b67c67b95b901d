import { HttpProblem } from "./problem.ts";

/** Which methods each path has, to tell a path that is not there from one that is there for other methods. */
export class PathMethods {
  readonly #patterns = new Map<string, { readonly matches: RegExp; readonly methods: Set<string> }>();

  /** `url` as routes are written: `/hosts/:name`, `/static/*`. */
  add({ url, method }: { readonly url: string; readonly method: string | readonly string[] }): void {
    const pattern = this.#patterns.get(url) ?? { matches: expressionOf(url), methods: new Set() };
    for (const each of [method].flat()) pattern.methods.add(each);
    this.#patterns.set(url, pattern);
  }

  /** Every route there is: `GET /hosts/:name`. */
  routes(): readonly string[] {
    return [...this.#patterns].flatMap(([url, { methods }]) => [...methods].map((method) => `${method} ${url}`));
  }

  /** What to say of a request that no route is for. */
  missing(method: string, url: string): HttpProblem {
    const path = url.split("?", 1)[0] ?? "";
    const methods = [...this.#patterns.values()]
      .filter(({ matches }) => matches.test(path))
      .flatMap((pattern) => [...pattern.methods]);
    // A pattern that holds the path for this method as well found nothing there.
    if (methods.length === 0 || methods.includes(method))
      return new HttpProblem(404, "there is no such path; /openapi.json says which there are");
    const allow = [...new Set(methods)].sort().join(", ");
    return new HttpProblem(405, `${method} is not for this path; ${allow} ${methods.length === 1 ? "is" : "are"}`, {
      headers: { allow },
    });
  }
}

function expressionOf(url: string): RegExp {
  const source = url
    .split("/")
    .map((part) =>
      part.startsWith(":")
        ? "[^/]+"
        : part
            .split("*")
            .map((literal) => RegExp.escape(literal))
            .join(".*"),
    )
    .join("/");
  return new RegExp(`^${source}$`);
}
