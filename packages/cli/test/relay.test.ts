// The relay between machines against those that are no rank of the launch, servers that are silent, lost welcomes, and ranks that take no data.
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as later } from "node:timers/promises";
import { makeRankPipes } from "@nsa/kernels";
import { afterAll, afterEach, expect, test } from "vitest";
import { joinLaunch, launchOf } from "../src/child/launch.ts";
import { Relay } from "../src/child/relay.ts";
import { ALL, type Frame, packFrame, readFrames } from "../src/child/relay-frames.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-relay-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const opened: Relay[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(opened.splice(0).map((relay) => relay.close(0)));
});

const LAUNCH = "job 17 of 3";
const host = "127.0.0.1";

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** A rank of a launch of `world`, and the folder of its pipes. */
async function rankAt(port: number, rank: number, world = 3, limitMs = 20_000): Promise<string> {
  const folder = mkdtempSync(join(root, `${rank}-`));
  makeRankPipes(folder, world);
  opened.push(await Relay.open({ rank, world, folder, address: { host, port }, launch: LAUNCH }, limitMs));
  return folder;
}

/** A connection that sends `bytes`; `closed` when the other end has ended it, `kinds` of the frames that came. */
function visitor(port: number, ...bytes: Buffer[]) {
  const kinds: string[] = [];
  const socket = connect(port, host, () => socket.write(Buffer.concat(bytes)));
  sockets.push(socket);
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  const welcomed = new Promise<void>((resolve) => {
    readFrames(
      socket.on("error", () => {}),
      () => true,
      ({ kind }) => {
        kinds.push(kind);
        if (kind === "welcome") resolve();
      },
    );
  });
  return { socket, kinds, closed, welcomed };
}

const frame = (kind: Frame["kind"], from: number, to: number, body = "") =>
  packFrame({ kind, from, to, body: Buffer.from(body) });
/** A head alone, with any number of a kind and any length. */
function head(kind: number, from: number, to: number, length: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt8(kind, 0);
  bytes.writeUInt16BE(from, 1);
  bytes.writeUInt16BE(to, 3);
  bytes.writeUInt32BE(length, 5);
  return bytes;
}
const hello = (rank: number, launch = LAUNCH) => frame("hello", rank, 0, launch);
const welcomeAnswered = (rank: number) => frame("welcome", rank, 0);

test("a_server_that_accepts_and_is_silent_ends_a_rank_with_an_error", async () => {
  const server = createServer((socket) => sockets.push(socket.resume().on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  process.env.NSA_RANK_LIMIT_SECONDS = "0.5";
  try {
    const env = { RANK: "1", WORLD_SIZE: "2", NSA_RENDEZVOUS: `tcp://${host}:${port}` };
    await expect(joinLaunch(launchOf(env)!)).rejects.toMatchObject({
      code: "rendezvous_unreachable",
      why: "the program there accepts connections and does not answer",
      fix: expect.stringContaining("NSA_RENDEZVOUS=tcp://"),
      exitCode: 4,
    });
  } finally {
    delete process.env.NSA_RANK_LIMIT_SECONDS;
    server.close();
  }
});

test("the_error_names_the_variable_of_an_address_that_nobody_has_given", async () => {
  const port = await freePort();
  const address = { host, port, source: "SLURM_STEP_NODELIST, node[1-2]" };
  const place = { rank: 1, world: 2, folder: mkdtempSync(join(root, "none-")), address, launch: LAUNCH };
  makeRankPipes(place.folder, 2);
  await expect(Relay.open(place, 100)).rejects.toMatchObject({
    why: expect.stringMatching(/ECONNREFUSED.* \(the host is from SLURM_STEP_NODELIST, node\[1-2\]\)$/),
  });
});

test("a_stranger_is_cut_off_and_changes_nothing", async () => {
  const port = await freePort();
  const first = await rankAt(port, 0);
  const before = readdirSync(first).toSorted();
  const note = JSON.stringify(["run", "/elsewhere"]);
  const strangers = [
    [frame("note", 1, ALL, note)],
    [frame("gone", 1, ALL)],
    [frame("data", 1, 0, "bytes")],
    [frame("joined", 2, ALL)],
    [hello(1, "job 18 of 3")],
    [hello(0)],
    [hello(3)],
    // A body of 4 GiB is not waited for.
    [head(0, 1, 0, 0xffffffff)],
    [head(200, 1, ALL, 0)],
    [Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ];
  for (const bytes of strangers) await visitor(port, ...bytes).closed;
  expect(readdirSync(first).toSorted()).toEqual(before);
  // Both ranks are still awaited.
  await rankAt(port, 1);
  await rankAt(port, 2);
});

test("a_rank_may_send_nothing_but_its_own_frames", async () => {
  const own: [string, Buffer][] = [
    ["under another rank", frame("alive", 2, ALL)],
    ["data under another rank", frame("data", 2, 0, "bytes")],
    ["as rank 0", frame("gone", 0, ALL)],
    ["a note, which rank 0 alone sends", frame("note", 1, ALL, JSON.stringify(["run", "/elsewhere"]))],
    ["of no kind", head(200, 1, ALL, 0)],
    ["to no rank", frame("data", 1, 7, "bytes")],
    ["data for all", frame("data", 1, ALL, "bytes")],
    ["too long", head(2, 1, 0, 2 ** 20 + 1)],
    ["hello once more", hello(1)],
  ];
  for (const [what, bytes] of own) {
    const port = await freePort();
    const first = await rankAt(port, 0);
    const rank = visitor(port, hello(1), welcomeAnswered(1), frame("alive", 1, ALL));
    await rank.welcomed;
    await expect.poll(() => existsSync(join(first, "1.alive"))).toBe(true);
    rank.socket.write(bytes);
    await rank.closed;
    const left = readdirSync(first).filter((name) => !/^\d-to-\d$/.test(name));
    expect(left, what).toEqual(["1.alive"]);
  }
});

test("a_rank_whose_welcome_was_lost_is_let_in_when_it_comes_again", async () => {
  const port = await freePort();
  const first = await rankAt(port, 0);
  const lost = visitor(port, hello(1));
  await lost.welcomed;
  lost.socket.destroy();
  // One that has no end of the connection yet is replaced.
  const stale = visitor(port, hello(2));
  await stale.welcomed;
  const again = visitor(port, hello(2), welcomeAnswered(2));
  await again.welcomed;
  await stale.closed;
  const second = await rankAt(port, 1);
  // It is connected: a sign of life passes both ways.
  writeFileSync(join(second, "1.alive"), "");
  writeFileSync(join(first, "0.alive"), "");
  await expect.poll(() => existsSync(join(first, "1.alive"))).toBe(true);
  await expect.poll(() => existsSync(join(second, "0.alive"))).toBe(true);
  // Once it is in, another one of its number is refused.
  await visitor(port, hello(1)).closed;
});

const pipe = (folder: string, name: string, flags: number) =>
  openSync(join(folder, name), flags | constants.O_NONBLOCK);

/** Calls `some`, which moves bytes and gives how many, until `size` are moved or `patience` calls on end could move none. */
async function move(size: number, patience: number, some: (at: number) => number): Promise<number> {
  let at = 0;
  for (let idle = 0; at < size && idle < patience; idle++) {
    try {
      const moved = some(at);
      at += moved;
      if (moved > 0) idle = 0;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
    await later(idle > 0 ? 2 : 0);
  }
  return at;
}

test("a_rank_that_takes_no_data_stops_its_sender_alone_and_gets_all_of_it_later", async () => {
  const port = await freePort();
  const [first, second, third] = [await rankAt(port, 0), await rankAt(port, 1), await rankAt(port, 2)];
  const bytes = Buffer.alloc(6 * 2 ** 20);
  for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
  const to = pipe(second!, "1-to-2", constants.O_WRONLY);
  const write = (at: number) => (start: number) =>
    writeSync(to, bytes, at + start, Math.min(65_536, bytes.length - at - start));
  // The window of a mebibyte, pipes of 64 KiB at both ends, and pieces on the way; not the six that there are.
  const sent = await move(bytes.length, 60, write(0));
  expect(sent).toBeGreaterThanOrEqual(2 ** 20);
  expect(sent).toBeLessThan(1.5 * 2 ** 20);

  // Nobody else waits: neither data of another rank for the same one, nor signs of life.
  const other = pipe(first!, "0-to-2", constants.O_WRONLY);
  writeSync(other, Buffer.from("from rank 0"));
  const got = Buffer.alloc(11);
  const from0 = pipe(third!, "0-to-2", constants.O_RDONLY);
  await move(11, 5000, (at) => readSync(from0, got, at, 11 - at, null));
  expect(got.toString()).toBe("from rank 0");
  writeFileSync(join(second!, "1.alive"), "");
  await expect.poll(() => existsSync(join(third!, "1.alive"))).toBe(true);

  const received = Buffer.alloc(bytes.length);
  const from = pipe(third!, "1-to-2", constants.O_RDONLY);
  const read = (at: number) => readSync(from, received, at, Math.min(65_536, received.length - at), null);
  const [rest, all] = await Promise.all([
    move(bytes.length - sent, 5000, write(sent)),
    move(received.length, 5000, read),
  ]);
  expect([sent + rest, all]).toEqual([bytes.length, bytes.length]);
  const hash = (of: Buffer) => createHash("sha256").update(of).digest("hex");
  expect(hash(received)).toBe(hash(bytes));
  for (const fd of [to, other, from0, from]) closeSync(fd);
}, 60_000);
