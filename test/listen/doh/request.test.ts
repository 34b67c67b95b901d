import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HEADER_BYTES } from "../../../src/dns/wire.ts";
import { checkMessage, readRequest } from "../../../src/listen/doh.ts";

const FROM_NOBODY = { forwardedFor: undefined, realIp: undefined };

const message = new Uint8Array(33).map((_, at) => at * 7);
const encoded = Buffer.from(message).toString("base64url");

function read(method: string, target: string, headers: { contentType?: string; contentEncoding?: string } = {}) {
  const request = readRequest(
    { ...FROM_NOBODY, method, target, contentType: headers.contentType, contentEncoding: headers.contentEncoding },
    "/dns-query",
  );
  // In plain bytes, whatever kind of array they come in.
  return request.kind === "message" ? { ...request, message: Uint8Array.from(request.message) } : request;
}

const statusOf = (request: ReturnType<typeof readRequest>) => (request.kind === "refused" ? request.status : request.kind);

describe("GET", () => {
  test("any message is decoded from the URL as it was encoded", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.constantFrom("", "="), (bytes, padding) => {
        const target = `/dns-query?dns=${Buffer.from(bytes).toString("base64url")}${padding}`;
        expect(read("GET", target)).toEqual({ kind: "message", message: bytes, clientId: null });
      }),
    );
  });

  test.each([
    `/dns-query?dns=${encoded}`,
    `/dns-query?dns=${encoded}==`,
    `/dns-query?dns=${encoded}%3D%3d`,
    `/dns-query?ct=application/dns-message&dns=${encoded}`,
    `/dns-query?dns=${encoded}&random_padding=xyz`,
    `http://doh.example.com/dns-query?dns=${encoded}`,
    `https://192.0.2.1:8443/dns-query?dns=${encoded}`,
  ])("%s is the message", (target) => {
    expect(read("GET", target)).toEqual({ kind: "message", message, clientId: null });
  });

  test("HEAD is read as GET", () => {
    expect(read("HEAD", `/dns-query?dns=${encoded}`).kind).toBe("message");
  });

  test.each([
    ["/dns-query", "nothing asked"],
    ["/dns-query?", "nothing asked"],
    ["/dns-query?DNS=AAAA", "another parameter"],
    ["/dns-query?dns=AA+A", "plain base64"],
    ["/dns-query?dns=AA/A", "plain base64"],
    ["/dns-query?dns=AA%2FA", "plain base64, escaped"],
    ["/dns-query?dns=AAAAA", "a length that base64 cannot have"],
    ["/dns-query?dns=AAAA===", "too much padding"],
    ["/dns-query?dns=AA=A", "padding inside"],
    ["/dns-query?dns=AA%", "a broken escape"],
    ["/dns-query?dns=AAAA&dns=AAAA", "two messages"],
  ])("%s is a bad request: %s", (target) => {
    expect(statusOf(read("GET", target))).toBe(400);
  });

  test("a name without a message asks for JSON", () => {
    const request = read("GET", "/dns-query/tv?name=example.com&type=A");
    expect(request).toMatchObject({ kind: "json", clientId: "tv" });
    expect(request.kind === "json" && [...request.parameters]).toEqual([
      ["name", "example.com"],
      ["type", "A"],
    ]);
  });
});

describe("POST", () => {
  test.each([
    "application/dns-message",
    "Application/DNS-Message",
    "application/dns-message; charset=utf-8",
    "application/dns-message ;x",
  ])("with %s the message is the body", (contentType) => {
    expect(read("POST", "/dns-query?dns=ignored", { contentType })).toEqual({ kind: "body", clientId: null });
  });

  test.each([undefined, "", "text/plain", "application/json", "application/dns-messages", "application/dns-json"])(
    "with content type %s is refused",
    (contentType) => {
      expect(statusOf(read("POST", "/dns-query", contentType === undefined ? {} : { contentType }))).toBe(415);
    },
  );

  test("a compressed body is refused, content-encoding identity is accepted", () => {
    const contentType = "application/dns-message";
    expect(statusOf(read("POST", "/dns-query", { contentType, contentEncoding: "gzip" }))).toBe(415);
    expect(statusOf(read("POST", "/dns-query", { contentType, contentEncoding: "identity" }))).toBe("body");
  });
});

describe("paths", () => {
  test.each([
    ["/dns-query/tv", "tv"],
    ["/dns-query/a-1", "a-1"],
    [`/dns-query/${"x".repeat(63)}`, "x".repeat(63)],
  ])("%s has client id %s", (path, clientId) => {
    expect(read("GET", `${path}?dns=${encoded}`)).toMatchObject({ kind: "message", clientId });
  });

  test.each([
    "/",
    "",
    "/dns",
    "/dns-query/",
    "/dns-query/TV",
    "/dns-query/t_v",
    "/dns-query/a/b",
    "/dns-query2",
    `/dns-query/${"x".repeat(64)}`,
    "*",
  ])("%s is not here, whatever the method", (path) => {
    for (const method of ["GET", "POST", "PUT"]) expect(statusOf(read(method, `${path}?dns=${encoded}`))).toBe(404);
  });

  test("the root may be the path of the service", () => {
    const head = { ...FROM_NOBODY, method: "GET", contentType: undefined, contentEncoding: undefined };
    const ids = [`/?dns=${encoded}`, `/tv?dns=${encoded}`].map((target) => readRequest({ ...head, target }, "/"));
    expect(ids).toMatchObject([
      { kind: "message", clientId: null },
      { kind: "message", clientId: "tv" },
    ]);
  });

  test.each(["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])("%s is not allowed", (method) => {
    expect(statusOf(read(method, "/dns-query"))).toBe(405);
  });
});

test("no target makes reading throw", () => {
  const parts = fc.array(fc.constantFrom("/dns-query", "?", "&", "dns=", "name=", "%", "=", "/", "http://", "AA", "é"), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        parts.map((list) => list.join("")),
      ),
      (target) => {
        expect(["message", "json", "refused"]).toContain(read("GET", target).kind);
      },
    ),
  );
});

test("a message has between 12 and 65535 bytes", () => {
  const status = (lengthBytes: number) => checkMessage(new Uint8Array(lengthBytes))?.status ?? "fine";
  expect([0, 1, HEADER_BYTES - 1, HEADER_BYTES, 65_535, 65_536].map(status)).toEqual([400, 400, 400, "fine", "fine", 413]);
});
