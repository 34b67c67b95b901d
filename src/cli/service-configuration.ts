/**
 * The shipped configuration, to serve a house as a service or from an image: on the usual ports, with the rules where the program lies, and what is
 * learned in /var/lib/fenliu. `fenliu service install` and `tools/image.mjs` write it.
 * @param shipped the text of `fenliu.yaml`.
 * @param folder where the program lies.
 * @throws Error where the shipped text has no such place.
 */
export function serviceConfiguration(shipped: string, folder: string): string {
  const edits: readonly (readonly [RegExp, string])[] = [
    [
      /^# Fenliu, as shipped.*\n# `npm start` reads.*\n/,
      `# What this Fenliu serves: a working split for a house in China. Every key and its default: ${folder}/docs/config.md.\n`,
    ],
    [/dns: {3}\["127\.0\.0\.1:5053"\].*/, 'dns:   ["0.0.0.0:53"]'],
    [/http: {2}\["127\.0\.0\.1:9053"\]/, 'http:  ["0.0.0.0:9053"]'],
    [/(?<=[[ ])rules\/(?=[a-z-]+\.txt\])/g, `${folder}/rules/`],
    [/$/, "\ncache: { file: /var/lib/fenliu/cache.db }\nlog: { queries: { store: /var/lib/fenliu/queries.db } }\n"],
  ];
  return edits.reduce((text, [pattern, replacement]) => {
    const edited = text.replace(pattern, replacement);
    if (edited === text) throw new Error(`fenliu.yaml has nothing like ${pattern}`);
    return edited;
  }, shipped);
}
