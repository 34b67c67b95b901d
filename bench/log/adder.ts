import { Feed } from "./feed.ts";

/** A process of its own that adds records to a log of its own: what its neighbours see of it is what the machine makes them see. */
const [path = ""] = process.argv.slice(2);

const feed = await Feed.open(path);
process.on("message", (order: "begin" | "end") => {
  if (order === "begin") feed.begin();
  else feed.end();
});
process.once("disconnect", () => {
  feed.end();
  void feed.log.close();
});
process.send?.("ready");
