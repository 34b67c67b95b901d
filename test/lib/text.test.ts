import fc from "fast-check";
import { expect, test } from "vitest";
import { shownUrl } from "../../src/lib/text.ts";

test.each([
  ["https://lists.example/ads.txt", "https://lists.example/ads.txt"],
  ["https://me:p@ss:word@lists.example/ads.txt?key=secret#ads", "https://me:***@lists.example/ads.txt?***"],
  ["https://token@lists.example/a@b", "https://***@lists.example/a@b"],
  ["rules/a?b@c.txt", "rules/a?b@c.txt"],
])("%s is shown as %s", (text, shown) => {
  expect(shownUrl(text)).toBe(shown);
});

test("a password and a query are never shown, and what is shown stays as it is", () => {
  const secret = fc.stringMatching(/^[A-Z0-9@:%?.]{1,12}$/).map((made) => `S3CR3T${made}`);
  const url = fc.tuple(fc.constantFrom("https", "socks5", "redis"), secret, secret);
  fc.assert(
    fc.property(url, ([scheme, password, query]) => {
      const shown = shownUrl(`${scheme}://me:${password.replaceAll("?", "")}@host.example/path?${query}`);
      expect(shown).toBe(`${scheme}://me:***@host.example/path?***`);
      expect(shownUrl(shown)).toBe(shown);
    }),
  );
});
