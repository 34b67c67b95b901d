import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../test/clients/fenliu.ts";
import { type Nsd, startNsd } from "../test/clients/nsd.ts";
import type { LoadGenerator, Target, Transport } from "./load.ts";
import type { Peer, Started } from "./servers/peer.ts";
import type { Zone } from "./zone.ts";

/** A server that runs, and what it was measured over. */
export interface Contestant extends Started {
  readonly peer: Peer;
  readonly targets: readonly Target[];
}

/** The servers before one authoritative upstream, all on loopback, with everything they write in one temporary folder. */
export class Scene {
  readonly folder: string;
  readonly #upstream: Nsd;
  readonly #transports: readonly Transport[];
  readonly #contestants: Contestant[] = [];
  #closed: Promise<void> | null = null;

  static async open(zone: Zone, transports: readonly Transport[]): Promise<Scene> {
    const folder = mkdtempSync(join(tmpdir(), "fenliu-bench-"));
    try {
      const upstream = await startNsd({ folder: join(folder, "nsd"), zones: { [zone.name]: zone.records } });
      return new Scene(folder, upstream, transports);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  private constructor(folder: string, upstream: Nsd, transports: readonly Transport[]) {
    this.folder = folder;
    this.#upstream = upstream;
    this.#transports = transports;
  }

  get contestants(): readonly Contestant[] {
    return this.#contestants;
  }

  async start(peers: readonly Peer[], names: number): Promise<void> {
    const certificate = await makeCertificate(this.folder);
    for (const peer of peers) {
      const folder = join(this.folder, peer.name.replaceAll(" ", "-"));
      mkdirSync(folder);
      const started = await peer.start({
        folder,
        upstreamPort: this.#upstream.port,
        upstream: this.#upstream,
        certificate,
        names,
      });
      const targets = this.#transports.flatMap((transport): Target[] => {
        const port = portOver(transport, peer, started);
        return port === null ? [] : [{ transport, port }];
      });
      this.#contestants.push({ ...started, peer, targets });
      // A signal may have come meanwhile; then nobody else would stop this one.
      if (this.#closed !== null) await started.running.stop();
    }
  }

  /**
   * Fills every cache, then stops the upstream and asks for everything again: what is still answered alike is in the cache.
   * @throws Error that names the server where something is not.
   */
  async fillCaches(load: LoadGenerator): Promise<void> {
    const targets = this.#contestants.flatMap(({ peer, targets }) => targets.map((target) => ({ peer, target })));
    const filled = new Map<Target, number>();
    for (const { target } of targets) {
      // What was lost on the way the first time is there after the second.
      await load.askAllNames(target);
      filled.set(target, await load.askAllNames(target));
    }
    await this.#upstream.stop();
    for (const { peer, target } of targets) {
      const before = filled.get(target) ?? 0;
      const now = await load.askAllNames(target);
      if (now === before && now > 0) continue;
      throw new Error(
        `${peer.name} does not answer all names from its cache over ${target.transport}: ${now} instead of ${before}`,
      );
    }
  }

  /** Those that serve the transport. */
  over(transport: Transport): readonly { readonly contestant: Contestant; readonly target: Target }[] {
    return this.#contestants.flatMap((contestant) =>
      contestant.targets.filter((target) => target.transport === transport).map((target) => ({ contestant, target })),
    );
  }

  /** Stops everything and removes the folder. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all([this.#upstream, ...this.#contestants.map(({ running }) => running)].map((running) => running.stop()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** null = the server does not serve it. */
function portOver(transport: Transport, peer: Peer, { udpPort, tlsPort, httpsPort }: Started): number | null {
  if (peer.lacks?.includes(transport) === true) return null;
  switch (transport) {
    case "udp":
    case "tcp":
      return udpPort;
    case "dot":
      return tlsPort;
    default:
      return httpsPort;
  }
}
