import fc from "fast-check";
import { runs } from "./properties.ts";

fc.configureGlobal({ numRuns: runs(100) });
