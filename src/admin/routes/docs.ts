import swaggerUi from "@fastify/swagger-ui";
import { Type } from "typebox";
import { type Api, json, operation } from "../api.ts";

const getDocument = operation({
  operationId: "getDocument",
  summary: "This document",
  tags: ["health"],
  response: { 200: json("OpenAPI 3.1.", Type.Unsafe<object>(Type.Object({ openapi: Type.String() }))) },
  open: true,
});

/** The OpenAPI document, and a page that shows it and asks nobody but us. */
export async function docsRoutes(api: Api): Promise<void> {
  api.get("/openapi.json", { schema: getDocument }, async () => api.swagger());
  await api.register(swaggerUi, {
    routePrefix: DOCS,
    staticCSP: PAGE_POLICY,
    uiConfig: {
      deepLinking: true,
      docExpansion: "list",
      tryItOutEnabled: true,
      persistAuthorization: false,
      validatorUrl: null,
      requestInterceptor: withType,
    },
    // The bar on top asks for the address of another document, under the name of another program.
    theme: { title: "Fenliu", css: [{ filename: "page.css", content: ".swagger-ui .topbar { display: none }" }] },
  });
}

/**
 * Runs in the page: Swagger UI names no type where there is no body, and then the API takes no change. It hands over an object of its own, which
 * is not the one of `fetch` that its types name.
 */
function withType<T>(request: T): T {
  const { method, headers } = request as unknown as { readonly method: string; readonly headers: Record<string, string> };
  if (["POST", "PUT", "DELETE"].includes(method)) headers["Content-Type"] ??= "application/json";
  return request;
}

export const DOCS = "/docs";

// Swagger UI sets styles in the markup it makes; its images are within its sheet.
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");
