import { join, resolve } from "node:path";

/** The folder of real lists, which are not part of the project: tests that need them are skipped without the folder. */
export const REAL_DATA = resolve(process.env["FENLIU_TEST_DATA"] ?? join(import.meta.dirname, "../../../shared/data"));
