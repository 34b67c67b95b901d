/**
 * The dashboard: `src/admin/page.ts` serves what `tools/build-web.mjs` makes of this folder.
 *
 * Read `routes.ts` (each view is its URL), `shell.tsx` (what is around each view), `api/` (how the server is asked), one of `pages/`, `journey/` (the
 * picture of one query), `parts/` (what several views draw), `words/` (every text, in each language), `style/tokens.css`.
 */

import { render } from "preact";
import { events } from "./api/events.ts";
import { startNavigation } from "./navigation.ts";
import { Shell } from "./shell.tsx";
import { applyTheme } from "./theme.ts";
import { loadWords } from "./words/words.ts";

applyTheme();
startNavigation();
events.start();
await loadWords(null);
const place = document.getElementById("page");
if (place !== null) render(<Shell />, place);
