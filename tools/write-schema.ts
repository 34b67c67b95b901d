// Writes docs/fenliu.schema.json, the description of fenliu.yaml for editors, from the shapes in src/config.
import { writeFileSync } from "node:fs";
import { jsonSchema } from "../src/config/file.ts";

const target = new URL("../docs/fenliu.schema.json", import.meta.url);
writeFileSync(target, `${JSON.stringify(jsonSchema(), null, 2)}\n`);
