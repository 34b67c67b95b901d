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
    uiConfig: { deepLinking: true, docExpansion: "list", tryItOutEnabled: true, persistAuthorization: false, validatorUrl: null },
    theme: { title: "Fenliu" },
  });
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
