// Loaded into the command and its trainer by NODE_OPTIONS: kills at the n-th change of a file under a folder.
// NSA_DIE is {root, at, who, count}: `command` dies itself, `parent` is the trainer killing its command alone, `both` the two. Where
// `count` names a file, the number of changes is written there when the process ends.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { root, at, who, count: report } = JSON.parse(process.env.NSA_DIE);
const program = process.argv[1] ?? "";
const role = program.endsWith("trainer-main.mjs")
  ? "trainer"
  : program.endsWith("nsa.mjs")
    ? "command"
    : "other";

const descriptors = new Set();
let count = 0;

function strike() {
  if (who !== "command") process.kill(process.ppid, "SIGKILL");
  if (who !== "parent") process.kill(process.pid, "SIGKILL");
  // What the trainer is told of it, without waiting until the system does.
  process.emit("disconnect");
}

/** Counts a change; at the n-th the blow falls, on one who would die himself when `half` is done. */
function change(half) {
  if (++count !== at) return;
  if (who !== "parent") half?.();
  strike();
}

const under = (path) => typeof path === "string" && path.startsWith(root);
const real = { ...fs };

if (role === (who === "command" ? "command" : "trainer")) {
  for (const name of ["mkdirSync", "renameSync", "rmSync", "truncateSync", "linkSync"])
    fs[name] = (path, ...rest) => {
      if (under(path)) change();
      return real[name](path, ...rest);
    };
  for (const name of ["writeFileSync", "appendFileSync"])
    fs[name] = (path, data, ...rest) => {
      const half = () => real[name](path, String(data).slice(0, String(data).length / 2), ...rest);
      if (under(path)) change(half);
      return real[name](path, data, ...rest);
    };
  fs.openSync = (path, flags, ...rest) => {
    const writes = under(path) && /[wa+]/.test(String(flags ?? "r"));
    if (writes) change();
    const fd = real.openSync(path, flags, ...rest);
    if (writes) descriptors.add(fd);
    return fd;
  };
  fs.closeSync = (fd) => {
    descriptors.delete(fd);
    return real.closeSync(fd);
  };
  fs.writeSync = (fd, data, from = 0, ...rest) => {
    if (descriptors.has(fd))
      change(() => typeof data !== "string" && real.writeSync(fd, data, from, (data.length - from) >> 1));
    return real.writeSync(fd, data, from, ...rest);
  };
  syncBuiltinESMExports();
  if (report) process.on("exit", () => real.writeFileSync(report, String(count)));
}
