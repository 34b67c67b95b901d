import { Type } from "typebox";
import { type NamedSchema, namedObject, nullable, oneOf, saidSchema, type ValueOf } from "./named.ts";

const INSTANT = Type.String({ format: "date-time", examples: ["2026-11-21T21:03:11.482Z"] });

const STATE = oneOf(["well", "care", "bad", "unknown"], {
  description: "`care`: it works, and somebody should look. `bad`: it does not work. `unknown`: nobody knows yet.",
});

const healthItemSchema = namedObject("HealthItem", "One part of the server, and how it is doing.", {
  kind: oneOf(["group", "list", "certificate", "router", "expectations", "log", "pause"]),
  name: Type.String({ description: "Of the group or list; empty where there is one of the kind.", examples: ["overseas"] }),
  state: STATE,
  said: saidSchema.ref,
  since: Type.String({
    format: "date-time",
    description: "Since when it has this state.",
    examples: ["2026-11-21T20:58:00.000Z"],
  }),
  problem: nullable(Type.String({ description: "`id` of its problem; null: it has none.", examples: ["v1|group|overseas|"] })),
});

export type HealthItem = ValueOf<typeof healthItemSchema>;

export const healthSchema = namedObject("Health", "How the server is doing.", {
  state: STATE,
  since: INSTANT,
  items: Type.Array(healthItemSchema.ref, { description: "Worst first." }),
});

export type Health = ValueOf<typeof healthSchema>;

export const HEALTH_SCHEMAS: readonly NamedSchema[] = [healthSchema, healthItemSchema];
