import { Type } from "typebox";
import type { WhatIf, WhatIfChange, WhatIfOutcome } from "../control.ts";
import { CLOSED, named, orNull } from "./named.ts";
import { COUNT } from "./views.ts";

export const whatIfOutcome = named<WhatIfOutcome>("WhatIfOutcome").as(
  Type.Object(
    {
      rule: orNull(Type.String()),
      route: orNull(Type.String({ description: "The group asked; null: answered here." })),
      answer: orNull(Type.String({ description: "What is answered here: `10.0.0.5`, `CNAME nas.lan`, `nodata`, `nxdomain`, …" })),
      action: Type.String({ description: "As in a query record." }),
    },
    CLOSED,
  ),
);

export const whatIfChange = named<WhatIfChange>("WhatIfChange").as(
  Type.Object(
    {
      before: whatIfOutcome.ref,
      after: whatIfOutcome.ref,
      queries: COUNT,
      names: Type.Array(Type.Object({ name: Type.String(), type: Type.String(), queries: COUNT }, CLOSED), {
        description: "The names with the most queries.",
      }),
    },
    CLOSED,
  ),
);

export const whatIf = named<WhatIf>("WhatIf").as(
  Type.Object(
    {
      queries: Type.Integer({ minimum: 0, description: "Queries that were looked at." }),
      changed: Type.Integer({ minimum: 0, description: "Those that would go otherwise." }),
      truncated: Type.Boolean({ description: "Whether there were more queries than are looked at." }),
      changes: Type.Array(whatIfChange.ref, { description: "Most queries first." }),
      notes: Type.Array(Type.String(), { description: "What makes it less than exact, one sentence each." }),
    },
    CLOSED,
  ),
);
