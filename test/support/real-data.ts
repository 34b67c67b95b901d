import { join, resolve } from "node:path";

/** Folder of real lists, which are not part of the project: tests that need them are left out where it is missing. */
export const REAL_DATA = resolve(process.env["FENLIU_TEST_DATA"] ?? join(import.meta.dirname, "../../../shared/data"));
