import { Type } from "typebox";
import { type Api, type ApiParts, json, operation } from "../api.ts";
import { CLOSED, listOf } from "../schemas/named.ts";
import { configCheck, configView, versionView } from "../schemas/views.ts";

const CONFIGURATION_TAGS = ["configuration"] as const;

const getConfig = operation({
  operationId: "getConfig",
  summary: "The configuration in force, without its secrets",
  tags: CONFIGURATION_TAGS,
  response: { 200: json("The configuration.", configView.ref) },
});

const checkConfig = operation({
  operationId: "checkConfig",
  summary: "Check a draft of the configuration",
  description:
    "Says what the server would say of this text, were it the file. What it could be started with but not reloaded is a warning. Nothing is changed.",
  tags: CONFIGURATION_TAGS,
  body: Type.Object(
    {
      config: Type.String({
        maxLength: 1_000_000,
        description: "A whole fenliu.yaml, of no more than 256 KiB.",
      }),
    },
    { ...CLOSED, examples: [{ config: "answers: { https: nodata }\n" }] },
  ),
  response: { 200: json("Whether it would be taken, and everything that is wrong with it.", configCheck.ref) },
});

const reload = operation({
  operationId: "reload",
  summary: "Read the file again",
  description: "A file with any fault changes nothing: the old configuration serves on.",
  tags: CONFIGURATION_TAGS,
  response: { 200: json("The configuration now in force.", configView.ref) },
  problems: [409, 415],
});

const listVersions = operation({
  operationId: "listVersions",
  summary: "The versions of configuration and lists that are kept",
  description: "Each record of the log names the version it was decided under; `explain` can be asked under it.",
  tags: CONFIGURATION_TAGS,
  response: { 200: json("The versions, newest first.", listOf(versionView)) },
});

export function configurationRoutes(api: Api, { control }: ApiParts): void {
  api.get("/config", { schema: getConfig }, async () => control().config());
  api.post("/config/check", { schema: checkConfig }, ({ body: { config } }) => control().checkConfig(config));
  api.post("/reload", { schema: reload }, () => control().reload());
  api.get("/versions", { schema: listVersions }, () => control().versions());
}
