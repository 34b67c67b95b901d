import type { FastifyRequest } from "fastify";
import { Type } from "typebox";
import { type Api, type ApiParts, operation, text } from "../api.ts";
import { CLOSED } from "../schemas/named.ts";

const PARAMETERS = Type.Object(
  {
    url: Type.Optional(
      Type.String({
        maxLength: 1000,
        description:
          "Where clients reach the DoH service, such as `https://doh.example.com`, with or without its path. Where nothing is said: https and the host that this request was sent to.",
      }),
    ),
  },
  CLOSED,
);

const routerosScript = operation({
  operationId: "routerosScript",
  summary: "A script that makes this server the DoH server of a MikroTik router",
  tags: ["clients"],
  querystring: PARAMETERS,
  response: { 200: text("The script, for RouterOS 7.", "text/plain") },
});

const appleProfile = operation({
  operationId: "appleProfile",
  summary: "A configuration profile for Apple devices",
  tags: ["clients"],
  querystring: PARAMETERS,
  response: { 200: text("The profile: DNS over HTTPS.", "application/x-apple-aspen-config") },
});

export function clientSetupRoutes(api: Api, { control }: ApiParts): void {
  api.get("/routeros.rsc", { schema: routerosScript }, async (request, reply) => {
    const script = control().routerosScript(urlOf(request, request.query.url));
    return reply
      .type("text/plain; charset=utf-8")
      .header("content-disposition", 'attachment; filename="fenliu.rsc"')
      .send(script);
  });

  api.get("/apple.mobileconfig", { schema: appleProfile }, async (request, reply) => {
    const profile = control().appleProfile(urlOf(request, request.query.url));
    return reply
      .type("application/x-apple-aspen-config")
      .header("content-disposition", 'attachment; filename="fenliu.mobileconfig"')
      .send(profile);
  });
}

/** Our own port speaks no DoH, so only the host of what was asked counts. */
function urlOf({ headers: { host = "localhost" } }: Pick<FastifyRequest, "headers">, given: string | undefined): string {
  return given ?? `https://${URL.parse(`http://${host}`)?.hostname ?? "localhost"}`;
}
