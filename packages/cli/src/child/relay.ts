// What the pipes of a rank carry, between machines: by TCP through rank 0's, which all others connect to.
//
// Each rank has a folder of its machine with the pipes of its world, as ranks of one machine have. The relay reads what its rank sends to
// another, hands it to the relay of that one, and notes there who has joined, gives signs of life, or has ended. Nothing is encrypted:
// the network must be the cluster's own.
import { existsSync, constants as files, openSync, readFileSync, statSync, utimesSync } from "node:fs";
import { createServer, connect as dial, type Server, Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as later } from "node:timers/promises";
import { atomicWriteFile, ExitCode, NsaError } from "@nsa/core";
import {
  ALL,
  type Frame,
  type FrameHead,
  type FrameKind,
  LONGEST_BODY,
  packFrame,
  readFrames,
} from "./relay-frames.ts";

/** Where ranks of several machines meet. */
export interface Address {
  host: string;
  port: number;
  /** The variable that the host is from, where nobody has given it. */
  source?: string;
}

export interface RelayPlace {
  rank: number;
  world: number;
  /** Folder of this rank's pipes. */
  folder: string;
  address: Address;
  /** Names the launch: another one's ranks are refused. */
  launch: string;
}

/** Files of rank 0 that the others wait for: the folder of the run, and the checkpoint to go on from. */
const NOTES = ["run", "checkpoint"];
const POLL_MS = 50;
const RETRY_MS = 200;
/** How long a try to connect may take, and how long an accepted connection may take to name its rank. */
const TRY_MS = 5000;
/** Flow control of a pair of ranks: bytes sent that the receiver's pipe has not accepted yet, at most. */
const WINDOW = 2 ** 20;
const EMPTY = Buffer.alloc(0);

const unreachable = ({ host, port, source }: Address, code: string, why: string, fix: string) =>
  new NsaError({
    code,
    what: `the rendezvous tcp://${host}:${port}`,
    why: source ? `${why} (the host is from ${source})` : why,
    fix,
    exitCode: ExitCode.unavailable,
  });

/** A pipe of this machine as a stream to read or to write; opened for both, so that neither end waits for the other. */
const pipeAt = (path: string, way: "read" | "write") =>
  new Socket({
    fd: openSync(path, files.O_RDWR | files.O_NONBLOCK),
    readable: way === "read",
    writable: way === "write",
  }).unref();

export class Relay {
  private readonly outgoing = new Map<number, Socket>();
  private readonly incoming = new Map<number, Socket>();
  /** Connections by rank; on all but rank 0 the one to it. */
  private readonly links = new Map<number, Socket>();
  /** On rank 0: ranks that have answered its welcome. */
  private readonly welcomed = new Set<number>();
  private readonly ended = new Set<number>();
  /** On rank 0: who has joined, for ranks that come later. */
  private readonly joined = new Set<number>();
  /** Bytes sent to a peer that its pipe has not taken yet. */
  private readonly untaken = new Map<number, number>();
  /** Bytes of a peer that this rank's pipe has taken, and the peer has not been informed of. */
  private readonly taken = new Map<number, number>();
  private server: Server | undefined;
  private poll: NodeJS.Timeout | undefined;
  private sign = 0;
  private pid: number | undefined;
  private readonly noted = new Set<string>();

  private constructor(private readonly place: RelayPlace) {}

  /**
   * Listens (rank 0) or connects, for as long as `limitMs`. Throws NsaError `rendezvous_taken` where another program has the port,
   * `rendezvous_unreachable` where nobody answers or it belongs to another launch (exit 4).
   */
  static async open(place: RelayPlace, limitMs: number): Promise<Relay> {
    const relay = new Relay(place);
    relay.openPipes();
    if (place.rank === 0) await relay.listen();
    else await relay.join(limitMs);
    relay.poll = setInterval(() => relay.pollFiles(), POLL_MS).unref();
    return relay;
  }

  /** Informs the others that this rank has ended, and waits, up to `limitMs`, until what it has to pass on is passed on. */
  async close(limitMs: number): Promise<void> {
    clearInterval(this.poll);
    const deadline = performance.now() + limitMs;
    const until = async (done: () => boolean) => {
      while (!done() && performance.now() < deadline) await later(POLL_MS);
    };
    // What waits in a pipe for a peer to take more goes before the end.
    await until(() => ![...this.outgoing].some(([peer, pipe]) => pipe.isPaused() && !this.ended.has(peer)));
    this.broadcastFrame("gone");
    const open = () => [...this.links.values()].filter((link) => !link.destroyed);
    if (this.place.rank !== 0) for (const link of open()) link.end();
    await until(() => open().length === 0);
    this.server?.close();
    for (const stream of [...this.links.values(), ...this.incoming.values(), ...this.outgoing.values()])
      stream.destroy();
  }

  private openPipes(): void {
    const { rank, world, folder } = this.place;
    for (let peer = 0; peer < world; peer++) {
      if (peer === rank) continue;
      const sent = pipeAt(join(folder, `${rank}-to-${peer}`), "read");
      this.outgoing.set(peer, sent);
      this.incoming.set(peer, pipeAt(join(folder, `${peer}-to-${rank}`), "write"));
      this.incoming.get(peer)!.on("error", () => {});
      sent.on("error", () => {});
      sent.on("data", (body: Buffer) => this.sendData(peer, body));
    }
  }

  /** What this rank has written for `peer`. The pipe rests while the window is full: then the rank waits, as it does for a rank of its machine. */
  private sendData(peer: number, body: Buffer): void {
    const link = this.linkTo(peer);
    if (!link || link.destroyed || this.ended.has(peer)) return;
    link.write(packFrame({ kind: "data", from: this.place.rank, to: peer, body }));
    const untaken = (this.untaken.get(peer) ?? 0) + body.length;
    this.untaken.set(peer, untaken);
    if (untaken >= WINDOW) this.outgoing.get(peer)!.pause();
  }

  /** Data of a peer for this rank's pipe; the peer learns of it by the quarter of a window. */
  private receiveData(peer: number, body: Buffer): void {
    this.incoming.get(peer)!.write(body, () => {
      const taken = (this.taken.get(peer) ?? 0) + body.length;
      const due = taken >= WINDOW / 4;
      this.taken.set(peer, due ? 0 : taken);
      if (!due) return;
      const count = Buffer.alloc(4);
      count.writeUInt32BE(taken);
      this.linkTo(peer)?.write(packFrame({ kind: "taken", from: this.place.rank, to: peer, body: count }));
    });
  }

  /** A peer has taken so many bytes. */
  private widen(peer: number, bytes: number): void {
    const untaken = (this.untaken.get(peer) ?? 0) - bytes;
    this.untaken.set(peer, untaken);
    if (untaken < WINDOW) this.outgoing.get(peer)!.resume();
  }

  private linkTo(peer: number): Socket | undefined {
    return this.links.get(this.place.rank === 0 ? peer : 0);
  }

  private listen(): Promise<void> {
    const { address } = this.place;
    const server = createServer((socket) => this.acceptRank(socket)).unref();
    this.server = server;
    return new Promise((resolve, reject) => {
      server.on("error", (cause: NodeJS.ErrnoException) => {
        const [code, why] =
          cause.code === "EADDRINUSE"
            ? ["rendezvous_taken", `another program has port ${address.port} of this machine`]
            : ["rendezvous_unreachable", cause.message];
        reject(unreachable(address, code!, why!, "choose another port by NSA_RENDEZVOUS=tcp://host:port"));
      });
      server.listen(address.port, () => resolve());
    });
  }

  /** A connection, which must first name this launch and one of its ranks that is not here yet. */
  private acceptRank(socket: Socket): void {
    const { launch, world } = this.place;
    const silent = setTimeout(() => socket.destroy(), TRY_MS).unref();
    socket
      .unref()
      .on("error", () => {})
      .on("close", () => clearTimeout(silent));
    let peer: number | undefined;
    const isHello = ({ kind, from, length }: FrameHead) =>
      kind === "hello" && from > 0 && from < world && length === Buffer.byteLength(launch);
    readFrames(
      socket,
      (head) => (peer === undefined ? isHello(head) : this.admits(peer, head)),
      (frame) => {
        if (peer !== undefined) this.handleFrame(frame);
        else if (frame.body.toString() !== launch || this.welcomed.has(frame.from)) socket.destroy();
        else {
          peer = frame.from;
          clearTimeout(silent);
          this.welcome(peer, socket);
        }
      },
    );
  }

  private welcome(peer: number, socket: Socket): void {
    // An earlier connection of this rank whose welcome was lost.
    this.links.get(peer)?.destroy();
    this.registerLink(peer, socket);
    socket.write(packFrame({ kind: "welcome", from: 0, to: peer, body: EMPTY }));
    // What it missed: who joined before it.
    this.sign = 0;
    this.pid = undefined;
    this.noted.clear();
    for (const other of this.joined) this.passOn({ kind: "joined", from: other, to: peer, body: EMPTY });
  }

  /** Whether the rank at the other end may send such a frame: on rank 0 its own, on the others what rank 0 passes on. */
  private admits(peer: number, { kind, from, to, length }: FrameHead): boolean {
    const { rank, world } = this.place;
    if (length > LONGEST_BODY || from >= world || from === rank || from === to) return false;
    if (to !== ALL && (rank === 0 ? to >= world : to !== rank)) return false;
    switch (kind) {
      case "data":
        return to !== ALL && (rank !== 0 || from === peer);
      case "taken":
        return to !== ALL && length === 4 && (rank !== 0 || from === peer);
      case "joined":
      case "alive":
      case "gone":
        return rank !== 0 || from === peer;
      case "welcome":
        return rank === 0 && from === peer;
      case "note":
        return from === 0;
      default:
        return false;
    }
  }

  private registerLink(peer: number, socket: Socket): void {
    socket.setNoDelay(true).setKeepAlive(true, 10_000).unref();
    this.links.set(peer, socket);
    socket.on("close", () => {
      if (this.place.rank !== 0) for (const other of this.incoming.keys()) this.end(other);
      else if (this.welcomed.has(peer)) this.handleFrame({ kind: "gone", from: peer, to: ALL, body: EMPTY });
      // It does not know that it was let in, and will come again.
      else if (this.links.get(peer) === socket) this.links.delete(peer);
    });
  }

  private async join(limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs;
    let why: string | undefined;
    for (let rest = limitMs; rest > 0; rest = deadline - performance.now()) {
      const limit = Math.min(TRY_MS, rest);
      const failed = await this.tryJoin(limit);
      if (!failed) return;
      // A try that the end of the time has cut short is no better witness than the one before.
      if (!failed.late || limit === TRY_MS || !why) why = failed.why;
      await later(Math.max(0, Math.min(RETRY_MS, deadline - performance.now())));
    }
    throw unreachable(
      this.place.address,
      "rendezvous_unreachable",
      why ?? "nobody answers there",
      "start all ranks, and let them reach that machine and port; NSA_RENDEZVOUS=tcp://host:port names another one, the host being the machine of rank 0",
    );
  }

  /** One try to connect and to be welcomed, of at most `limitMs`; undefined where it succeeded. */
  private tryJoin(limitMs: number): Promise<{ why: string; late: boolean } | undefined> {
    const { address, rank, launch } = this.place;
    const socket = dial(address.port, address.host);
    return new Promise((resolve) => {
      let [connected, welcomed, late] = [false, false, false];
      let why = "nobody answers there";
      const timer = setTimeout(() => {
        late = true;
        if (connected) why = "the program there accepts connections and does not answer";
        socket.destroy();
      }, limitMs);
      socket
        .on("connect", () => {
          connected = true;
          why = "the program there is not rank 0 of this launch";
          socket.write(packFrame({ kind: "hello", from: rank, to: 0, body: Buffer.from(launch) }));
        })
        .on("error", (cause) => {
          if (!connected) why = cause.message;
        })
        .on("close", () => {
          clearTimeout(timer);
          resolve({ why, late });
        });
      readFrames(
        socket,
        (head) => (welcomed ? this.admits(0, head) : head.kind === "welcome" && head.length === 0),
        (frame) => {
          if (welcomed) return this.handleFrame(frame);
          welcomed = true;
          clearTimeout(timer);
          this.registerLink(0, socket);
          socket.write(packFrame({ kind: "welcome", from: rank, to: 0, body: EMPTY }));
          resolve(undefined);
        },
      );
    });
  }

  /** A frame for this rank, for another, or for all. */
  private handleFrame(frame: Frame): void {
    const { rank } = this.place;
    if (rank === 0) {
      if (frame.kind === "joined") this.joined.add(frame.from);
      if (frame.kind === "welcome") this.welcomed.add(frame.from);
      if (frame.to !== rank) this.passOn(frame);
    }
    if (frame.to !== rank && frame.to !== ALL) return;
    this.note(frame);
  }

  private passOn(frame: Frame): void {
    for (const [peer, link] of this.links)
      if (peer !== frame.from && (frame.to === ALL || frame.to === peer)) link.write(packFrame(frame));
  }

  private note({ kind, from, body }: Frame): void {
    const { folder } = this.place;
    const file = (name: string) => join(folder, `${from}.${name}`);
    if (kind === "data") this.receiveData(from, body);
    else if (kind === "taken") this.widen(from, body.readUInt32BE(0));
    else if (kind === "gone") this.end(from);
    else if (!existsSync(folder)) return;
    else if (kind === "joined") atomicWriteFile(file("joined"), String(process.pid));
    else if (kind === "note") {
      const [name, text] = JSON.parse(body.toString()) as [string, string];
      if (NOTES.includes(name)) atomicWriteFile(join(folder, name), text);
    } else if (kind === "alive") {
      if (!existsSync(file("alive"))) atomicWriteFile(file("alive"), "");
      utimesSync(file("alive"), new Date(), new Date());
    }
  }

  /** A rank has ended: after what it has sent its pipe ends, too. */
  private end(peer: number): void {
    if (this.ended.has(peer)) return;
    this.ended.add(peer);
    // Nobody takes what this rank still writes for it.
    this.outgoing.get(peer)?.resume();
    const pipe = this.incoming.get(peer);
    pipe?.write(Buffer.alloc(0), () => pipe.destroy());
  }

  /** Sends what has changed in this rank's files. */
  private pollFiles(): void {
    const { rank, folder } = this.place;
    const file = (name: string) => join(folder, `${rank}.${name}`);
    const alive = statSync(file("alive"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (alive !== this.sign) this.broadcastFrame("alive");
    this.sign = alive;
    if (this.pid === undefined && existsSync(file("joined"))) {
      this.pid = Number(readFileSync(file("joined"), "utf8"));
      this.broadcastFrame("joined");
    }
    if (rank !== 0) return;
    for (const name of NOTES) {
      const path = join(folder, name);
      if (this.noted.has(name) || !existsSync(path)) continue;
      this.noted.add(name);
      this.broadcastFrame("note", Buffer.from(JSON.stringify([name, readFileSync(path, "utf8")])));
    }
  }

  private broadcastFrame(kind: FrameKind, body = EMPTY): void {
    const frame = { kind, from: this.place.rank, to: ALL, body };
    if (this.place.rank === 0) {
      if (kind === "joined") this.joined.add(0);
      this.passOn(frame);
    } else this.links.get(0)?.write(packFrame(frame));
  }
}
