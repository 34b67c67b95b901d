import type { Readiness } from "../admin/control.ts";
import { shownUrl } from "../lib/text.ts";
import type { LogStatus } from "../log/record.ts";
import type { Site } from "../site.ts";

/** Whether questions are answered, and all trouble that is known of. Without any server that is well only hosts names and the cache are. */
export function readinessOf({ backing, decisions }: Site, log: LogStatus): Readiness {
  const groups = backing.groups.status();
  const ill = groups.filter(({ well }) => !well).map(({ name }) => `no server of group ${name} answers`);
  const lists = decisions.lists
    .status()
    .flatMap(({ name, sources }) =>
      sources.flatMap(({ source, problem, servedFrom }) =>
        problem !== null
          ? [`list ${name}: ${shownUrl(source)}: ${problem}`]
          : servedFrom === "nothing"
            ? [`list ${name}: ${shownUrl(source)} has not been downloaded yet`]
            : [],
      ),
    );
  const store = log.fault === null ? [] : [`the query log stores nothing: ${log.fault.reason}`];
  return { ready: groups.some(({ well }) => well), problems: [...ill, ...lists, ...store] };
}
