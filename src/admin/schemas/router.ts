import { Type } from "typebox";
import { type NamedSchema, namedObject, saidSchema, type ValueOf } from "./named.ts";

const routerFindingSchema = namedObject(
  "RouterFinding",
  "Something on the router that keeps its clients from Fenliu, or may do so.",
  {
    number: Type.Integer({ minimum: 1, description: "The same for the same finding in every check." }),
    id: Type.String({ examples: ["server"] }),
    menu: Type.String({ description: "The menu of the router.", examples: ["ip/dns"] }),
    field: Type.String({ examples: ["use-doh-server"] }),
    seen: Type.String(),
    wanted: Type.String(),
    otherwise: saidSchema.ref,
    command: Type.String({ description: "One line for the console of the router that puts it right." }),
  },
);

export const routerCheckSchema = namedObject("RouterCheck", "A comparison of the router with what Fenliu needs. It only reads.", {
  version: Type.String({ description: "The version of RouterOS.", examples: ["7.22.1 (stable)"] }),
  checked: Type.String({ examples: ["2026-11-21T21:03:11.482Z"] }),
  findings: Type.Array(routerFindingSchema.ref),
  notes: Type.Array(saidSchema.ref, { description: "What could not be judged, and what else was seen." }),
  fix: Type.String({ description: "All commands as one script; empty where nothing was found." }),
});

/** What a check of the router found. */
export type RouterCheck = ValueOf<typeof routerCheckSchema>;

export const ROUTER_SCHEMAS: readonly NamedSchema[] = [routerCheckSchema, routerFindingSchema];
