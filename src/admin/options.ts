/** Section `admin`. */
export interface AdminOptions {
  readonly token: string | null;
  /** Host names under which the API may be asked, besides those of its own address. */
  readonly hosts: readonly string[];
}

/** Section `routeros`. */
export interface RouterosOptions {
  readonly url: string;
  readonly user: string;
  readonly passwordFile: string;
  readonly addressLists: readonly { readonly rule: string; readonly list: string }[];
}

/** Section `cluster`. */
export interface ClusterOptions {
  readonly redis: string;
}
