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

/** Where ranks of several machines meet. */
export interface Address {
  host: string;
  port: number;
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

const KINDS = ["hello", "welcome", "data", "joined", "alive", "gone", "note"] as const;
type Kind = (typeof KINDS)[number];

interface Frame {
  kind: Kind;
  from: number;
  to: number;
  body: Buffer;
}

/** Kind, from, to and the length of the body: 1, 2, 2 and 4 bytes. */
const HEAD = 9;
/** Files of rank 0 that the others wait for: the folder of the run, and the checkpoint to go on from. */
const NOTES = ["run", "checkpoint"];
/** As `to`: all ranks. */
const ALL = 0xffff;
const WATCH_MS = 50;
const RETRY_MS = 200;

function pack({ kind, from, to, body }: Frame): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUInt8(KINDS.indexOf(kind), 0);
  head.writeUInt16BE(from, 1);
  head.writeUInt16BE(to, 3);
  head.writeUInt32BE(body.length, 5);
  return Buffer.concat([head, body]);
}

/** Hands over the frames of a stream as they are complete. */
function unpack(take: (frame: Frame) => void): (chunk: Buffer) => void {
  let held: Buffer[] = [];
  let size = 0;
  let wanted = HEAD;
  return (chunk) => {
    held.push(chunk);
    size += chunk.length;
    if (size < wanted) return;
    let all = Buffer.concat(held);
    for (;;) {
      wanted = all.length < HEAD ? HEAD : HEAD + all.readUInt32BE(5);
      if (all.length < wanted) break;
      const kind = KINDS[all.readUInt8(0)]!;
      take({ kind, from: all.readUInt16BE(1), to: all.readUInt16BE(3), body: all.subarray(HEAD, wanted) });
      all = all.subarray(wanted);
    }
    held = [all];
    size = all.length;
  };
}

const unreachable = ({ host, port }: Address, code: string, why: string, fix: string) =>
  new NsaError({
    code,
    what: `the rendezvous tcp://${host}:${port}`,
    why,
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
  private readonly ended = new Set<number>();
  /** On rank 0: who has joined, for ranks that come later. */
  private readonly joined = new Set<number>();
  private server: Server | undefined;
  private watch: NodeJS.Timeout | undefined;
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
    relay.watch = setInterval(() => relay.look(), WATCH_MS).unref();
    return relay;
  }

  /** Says that this rank has ended, and waits, up to `limitMs`, until what it has to pass on is passed on. */
  async close(limitMs: number): Promise<void> {
    clearInterval(this.watch);
    this.say("gone");
    const open = () => [...this.links.values()].filter((link) => !link.destroyed);
    if (this.place.rank !== 0) for (const link of open()) link.end();
    for (let waited = 0; open().length > 0 && waited < limitMs; waited += WATCH_MS) await later(WATCH_MS);
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
      sent.on("data", (body: Buffer) => {
        const link = this.linkTo(peer);
        if (!link || link.write(pack({ kind: "data", from: rank, to: peer, body }))) return;
        sent.pause();
        link.once("drain", () => sent.resume());
      });
    }
  }

  private linkTo(peer: number): Socket | undefined {
    return this.links.get(this.place.rank === 0 ? peer : 0);
  }

  private listen(): Promise<void> {
    const { address } = this.place;
    const server = createServer((socket) => this.greet(socket)).unref();
    this.server = server;
    return new Promise((resolve, reject) => {
      server.once("error", (cause: NodeJS.ErrnoException) => {
        const [code, why] =
          cause.code === "EADDRINUSE"
            ? ["rendezvous_taken", `another program has port ${address.port} of this machine`]
            : ["rendezvous_unreachable", cause.message];
        reject(unreachable(address, code!, why!, "choose another port by NSA_RENDEZVOUS=tcp://host:port"));
      });
      server.listen(address.port, () => resolve());
    });
  }

  /** Takes a rank in that says which launch and rank it is. */
  private greet(socket: Socket): void {
    const first = unpack((frame) => {
      if (frame.kind !== "hello") return this.take(frame);
      const known =
        frame.body.toString() === this.place.launch && frame.from > 0 && frame.from < this.place.world;
      if (!known || this.links.has(frame.from)) {
        socket.destroy();
        return;
      }
      this.adopt(frame.from, socket);
      socket.write(pack({ kind: "welcome", from: 0, to: frame.from, body: Buffer.alloc(0) }));
      // What it missed: who joined before it.
      this.sign = 0;
      this.pid = undefined;
      this.noted.clear();
      for (const peer of this.joined)
        this.passOn({ kind: "joined", from: peer, to: frame.from, body: Buffer.alloc(0) });
    });
    socket.on("data", first).on("error", () => {});
  }

  private adopt(peer: number, socket: Socket): void {
    socket.setNoDelay(true).setKeepAlive(true, 10_000).unref();
    this.links.set(peer, socket);
    socket.on("close", () => {
      if (this.place.rank === 0) this.take({ kind: "gone", from: peer, to: ALL, body: Buffer.alloc(0) });
      else for (const other of this.incoming.keys()) this.end(other);
    });
  }

  private async join(limitMs: number): Promise<void> {
    const { address, rank, launch } = this.place;
    let why = "nobody answers there";
    for (let waited = 0; waited <= limitMs; waited += RETRY_MS) {
      const socket = await connected(address).catch((cause: NodeJS.ErrnoException) => {
        why = cause.message;
        return undefined;
      });
      if (socket) {
        if (
          await this.welcomed(socket, pack({ kind: "hello", from: rank, to: 0, body: Buffer.from(launch) }))
        )
          return;
        why = "it answers, and not as rank 0 of this launch";
      }
      await later(RETRY_MS);
    }
    throw unreachable(
      address,
      "rendezvous_unreachable",
      why,
      "start all ranks, and let them reach that machine and port",
    );
  }

  private welcomed(socket: Socket, hello: Buffer): Promise<boolean> {
    return new Promise((resolve) => {
      const read = unpack((frame) => {
        if (frame.kind === "welcome") {
          this.adopt(0, socket);
          resolve(true);
        } else this.take(frame);
      });
      socket
        .on("error", () => {})
        .on("close", () => resolve(false))
        .on("data", read);
      socket.write(hello);
    });
  }

  /** A frame for this rank, for another, or for all. */
  private take(frame: Frame): void {
    const { rank } = this.place;
    if (rank === 0) {
      if (frame.kind === "joined") this.joined.add(frame.from);
      if (frame.to !== rank) this.passOn(frame);
    }
    if (frame.to !== rank && frame.to !== ALL) return;
    this.note(frame);
  }

  private passOn(frame: Frame): void {
    for (const [peer, link] of this.links)
      if (peer !== frame.from && (frame.to === ALL || frame.to === peer)) link.write(pack(frame));
  }

  private note({ kind, from, body }: Frame): void {
    const { folder } = this.place;
    const file = (name: string) => join(folder, `${from}.${name}`);
    if (kind === "data") this.incoming.get(from)?.write(body);
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
    const pipe = this.incoming.get(peer);
    pipe?.write(Buffer.alloc(0), () => pipe.destroy());
  }

  /** Passes on what this rank's files say. */
  private look(): void {
    const { rank, folder } = this.place;
    const file = (name: string) => join(folder, `${rank}.${name}`);
    const alive = statSync(file("alive"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (alive !== this.sign) this.say("alive");
    this.sign = alive;
    if (this.pid === undefined && existsSync(file("joined"))) {
      this.pid = Number(readFileSync(file("joined"), "utf8"));
      this.say("joined");
    }
    if (rank !== 0) return;
    for (const name of NOTES) {
      const path = join(folder, name);
      if (this.noted.has(name) || !existsSync(path)) continue;
      this.noted.add(name);
      this.say("note", Buffer.from(JSON.stringify([name, readFileSync(path, "utf8")])));
    }
  }

  private say(kind: Kind, body = Buffer.alloc(0)): void {
    const frame = { kind, from: this.place.rank, to: ALL, body };
    if (this.place.rank === 0) {
      if (kind === "joined") this.joined.add(0);
      this.passOn(frame);
    } else this.links.get(0)?.write(pack(frame));
  }
}

function connected({ host, port }: Address): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = dial(port, host);
    socket.once("connect", () => resolve(socket.off("error", reject)));
    socket.once("error", reject);
  });
}
