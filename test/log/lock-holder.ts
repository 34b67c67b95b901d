import { DatabaseSync } from "node:sqlite";

/** A process of its own that locks a database until its standard input ends. */
const database = new DatabaseSync(process.argv[2] ?? "", { timeout: 10_000 });
database.exec("BEGIN EXCLUSIVE");
process.stdout.write("locked\n");
process.stdin.on("end", () => database.close()).resume();
