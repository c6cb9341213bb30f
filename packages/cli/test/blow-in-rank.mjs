// Loaded into trainers by NODE_OPTIONS: one rank is killed, stopped or hangs at its n-th message to another rank, or before it joins (0).
// NSA_BLOW is {rank, at, how}.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { rank, at, how } = JSON.parse(process.env.NSA_BLOW);
const real = { ...fs };
const pipes = new Set();
let sent = 0;

function blow() {
  if (how === "hang") for (;;);
  process.kill(process.pid, how === "stop" ? "SIGSTOP" : "SIGKILL");
}

fs.openSync = (path, ...rest) => {
  const [, own] = /(\d+)-to-\d+$/.exec(path) ?? [];
  const fd = real.openSync(path, ...rest);
  if (Number(own) === rank) pipes.add(fd);
  return fd;
};
fs.writeSync = (fd, ...rest) => {
  if (pipes.has(fd) && ++sent === at) blow();
  return real.writeSync(fd, ...rest);
};
fs.renameSync = (from, to) => {
  if (at === 0 && String(to).endsWith(`${rank}.joined`)) blow();
  return real.renameSync(from, to);
};
syncBuiltinESMExports();
