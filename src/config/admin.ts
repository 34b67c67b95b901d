import { arrayOf, key, nameless, object, oneOrMany, required } from "./object.ts";
import { url } from "./server.ts";
import { located, orNull, type Parsed, text } from "./shape.ts";
import { parseAddress, parseDomainName, readableFile, reference } from "./values.ts";

const token = text({
  expected: "a secret text",
  parse: (written): Parsed<string> =>
    /^[\x21-\x7e]{8,}$/.test(written)
      ? { value: written }
      : {
          wrong: "a token has 8 or more characters, printable ASCII without spaces",
          fix: "make one with `openssl rand -hex 16`",
        },
});

const hostName = text({
  expected: "a host name",
  parse: (written): Parsed<string> => ("value" in parseAddress(written) ? { value: written } : parseDomainName(written)),
});

/** Reads section `admin` straight into its options. */
export const adminShape = object("a map with `token` and `hosts`", {
  token: key(orNull(token), "Secret that calls of the API carry; null: none is wanted, and the API stays on this host.", null),
  hosts: key(oneOrMany(hostName), "Host names under which the API may be asked, besides its own address.", []),
});

/** Reads section `ddns` straight into its options. */
export const ddnsShape = object("a map with `tokens`", {
  tokens: key(oneOrMany(token), "Secrets of those who may report their address.", []),
});

const word = text({
  expected: "a text",
  parse: (written): Parsed<string> => (written === "" ? { wrong: "an empty text", fix: "write a name" } : { value: written }),
});

export const routerosShape = object("a map with `url`, `user` and `passwordFile`", {
  url: required(url("https", "http"), "Where the router's REST API is."),
  user: required(word, "The router's user."),
  passwordFile: required(readableFile, "File whose first line is the password."),
  addressLists: key(
    arrayOf(
      object("a map with `rule` and `list`", {
        rule: required(located(reference), "Rule whose answers are entered.", nameless),
        list: required(word, "Name of the address list on the router."),
      }),
    ),
    "Addresses of answers that are entered into address lists of the router.",
    [],
  ),
});

/** Reads section `cluster` straight into its options. */
export const clusterShape = object("a map with `redis`", {
  redis: required(url("redis", "rediss"), "The Redis server that the members share."),
});
