/** Section `admin`. */
export interface AdminOptions {
  readonly token: string | null;
  /** Host names under which the API may be asked, besides those of its own address. */
  readonly hosts: readonly string[];
}

/** Section `cluster`. */
export interface ClusterOptions {
  readonly redis: string;
}
