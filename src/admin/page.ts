import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { operation, textContent } from "./openapi.ts";
import { HttpProblem } from "./problem.ts";
import type { Api } from "./types.ts";

/** Where the build puts the dashboard: beside the compiled server, which sources that run as they are lack. */
export const PAGE_FOLDER = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../../dist/web" : "../web", import.meta.url));

const ASSET = "/assets/:file";

/** The dashboard's own addresses besides `/`: each gives the shell, whose script reads the address. */
const VIEWS = [
  "/problems",
  "/problems/:id",
  "/queries",
  "/ask",
  "/house",
  "/house/:part",
  "/config",
  "/config/history",
  "/config/history/:versions",
];

/** Routes that need no token: the shell and its scripts hold no secret, and a browser sends no token when it opens a page. */
export const PAGE_ROUTES: readonly string[] = ["/", ASSET, ...VIEWS];

/** What the dashboard may do: run and show what this server sends, ask this server, and nothing else. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** The name of an asset changes with its content (`tools/build-web.mjs`), so a browser may hold it for good. */
const FOR_GOOD = "public, max-age=31536000, immutable";

const getPage = operation({
  operationId: "getPage",
  summary: "The dashboard",
  description: "The page and all of its views, such as `/queries`. It asks this API.",
  tags: ["health"],
  response: { 200: textContent("The page.", "text/html") },
  problems: [404],
  open: true,
});

const HIDDEN = { hide: true };

/** Serves the dashboard as `tools/build-web.mjs` made it. @param folder is read once, here. */
export function pageRoutes(api: Api, folder: string): void {
  const shell = existsSync(join(folder, "index.html")) ? readFileSync(join(folder, "index.html"), "utf8") : null;
  const assets = shell === null ? new Map<string, Asset>() : readAssets(join(folder, "assets"));

  const sendShell = async (_: FastifyRequest, reply: FastifyReply) => {
    if (shell === null)
      throw new HttpProblem(404, "the dashboard is not built: `npm run build` makes it; the API and /docs are here");
    return reply
      .header("content-security-policy", PAGE_POLICY)
      .header("cache-control", "no-cache")
      .type("text/html; charset=utf-8")
      .send(shell);
  };
  api.get("/", { schema: getPage }, sendShell);
  for (const path of VIEWS) api.get(path, { schema: HIDDEN }, sendShell);

  const params = Type.Object({ file: Type.String() });
  api.get(ASSET, { schema: { ...HIDDEN, params } }, async (request, reply) => {
    const asset = assets.get(request.params.file);
    if (asset === undefined) throw new HttpProblem(404, "the dashboard has no such file");
    reply.header("cache-control", FOR_GOOD).header("vary", "accept-encoding").type(asset.type);
    if (!/\bgzip\b/.test(request.headers["accept-encoding"] ?? "")) return reply.send(asset.plain);
    return reply.header("content-encoding", "gzip").send(asset.gzip);
  });
}

interface Asset {
  readonly type: string;
  readonly plain: Buffer;
  readonly gzip: Buffer;
}

function readAssets(folder: string): ReadonlyMap<string, Asset> {
  const names = readdirSync(folder).filter((name) => !name.endsWith(".gz"));
  const read = (name: string) => readFileSync(join(folder, name));
  const assetOf = (name: string) => ({ type: MEDIA_TYPES[extname(name)] ?? "", plain: read(name), gzip: read(`${name}.gz`) });
  return new Map(names.map((name) => [name, assetOf(name)]));
}
