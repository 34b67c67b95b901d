/**
 * What is used of `node:http`. An `import` of that module reads all its exports, and one of them loads the WebSocket client of the runtime: 16 MiB of
 * memory, and milliseconds of each start.
 */
export const http = process.getBuiltinModule("node:http");
