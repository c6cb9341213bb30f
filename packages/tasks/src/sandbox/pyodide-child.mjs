// Runs one Python program in Pyodide, in a process of its own that gives up network, host files, other processes and
// code from strings before the program starts. Reads {files, memoryMb, stdin, channel} as JSON from stdin; argument 1 is
// Pyodide's entry; writes one byte to descriptor 3 when the program begins; `channel` makes descriptor 4 its /dev/channel. See pyodide.ts for the flags that it needs.
import { readFileSync, readSync, writeSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { pathToFileURL } from "node:url";

const NETWORK = ["dgram", "dns", "http", "http2", "https", "net", "tls"];
const GLOBALS = ["process", "fetch", "WebSocket", "EventSource", "require", "Buffer", "navigator"];
const PAGE = 65_536;
/** What Emscripten reads of the constants that the permission model withholds; their values are Linux's. */
const CONSTANTS = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 64,
  O_EXCL: 128,
  O_NOCTTY: 256,
  O_TRUNC: 512,
  O_APPEND: 1024,
  O_DIRECTORY: 65_536,
  O_NOFOLLOW: 131_072,
  O_SYNC: 1_052_672,
};

const RUN = `
import sys, traceback
def run():
    sys.argv = ["/program/main.py"]
    code = 0
    try:
        with open("/program/main.py", encoding="utf-8") as file:
            program = compile(file.read(), "/program/main.py", "exec")
        exec(program, {"__name__": "__main__", "__builtins__": __builtins__})
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if code == 1 and end.code != 1:
            print(end.code, file=sys.stderr)
    except ModuleNotFoundError as error:
        traceback.print_exception(type(error), ModuleNotFoundError(f"No module named '{error.name}'"), error.__traceback__)
        code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code & 255
run()
`;

/** Makes every function and class of a module useless, for those who hold the module already too. */
function closeModule(module) {
  const gone = () => {
    throw new Error("there is no network");
  };
  for (const name of Object.keys(module)) {
    const property = Object.getOwnPropertyDescriptor(module, name);
    if (property.configurable) Object.defineProperty(module, name, { value: gone });
    else if (property.writable && typeof module[name] === "function") module[name] = gone;
  }
}

/** Files lie in JavaScript's memory, which no flag bounds: a program may write as many bytes as it may hold. */
function limitFiles({ MEMFS }, ErrnoError, bytes) {
  const NO_SPACE = 51;
  const { stream } = MEMFS.ops_table.file;
  const { write } = stream;
  let written = 0;
  stream.write = (...args) => {
    written += args[3];
    if (written > bytes) throw new ErrnoError(NO_SPACE);
    return write.apply(stream, args);
  };
  const resize = MEMFS.resizeFileStorage;
  MEMFS.resizeFileStorage = (node, size) => {
    written += Math.max(0, size - node.usedBytes);
    if (written > bytes) throw new ErrnoError(NO_SPACE);
    return resize.call(MEMFS, node, size);
  };
}

/** Descriptor 4 as a device, read and written as the program asks. */
function openChannel(FS) {
  const device = FS.makedev(64, 0);
  const move = (f) => (_stream, buffer, offset, length) => f(4, buffer, offset, length);
  FS.registerDevice(device, { read: move(readSync), write: move(writeSync) });
  FS.mkdev("/dev/channel", 0o666, device);
}

const { files, memoryMb, stdin, channel } = JSON.parse(readFileSync(0, "utf8"));
const exit = process.exit.bind(process);
process.binding = () => ({ fs: CONSTANTS });
const { loadPyodide } = await import(pathToFileURL(process.argv[2]).href);
const python = await loadPyodide({ jsglobals: Object.freeze(Object.create(null)), env: { HOME: "/tmp" } });

const grow = WebAssembly.Memory.prototype.grow;
WebAssembly.Memory.prototype.grow = function (pages) {
  if (this.buffer.byteLength + pages * PAGE > memoryMb * 2 ** 20) throw new RangeError("memory limit");
  return grow.call(this, pages);
};
const modules = await Promise.all(NETWORK.map((name) => import(`node:${name}`)));
for (const module of modules) closeModule(module.default);
syncBuiltinESMExports();

const whole = (fd) => ({
  write(bytes) {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    return bytes.length;
  },
});
python.setStdout(whole(1));
python.setStderr(whole(2));
const input = stdin === null ? undefined : new TextEncoder().encode(stdin);
let taken = 0;
python.setStdin(
  input
    ? {
        read(buffer) {
          const part = input.subarray(taken, taken + buffer.length);
          buffer.set(part);
          taken += part.length;
          return part.length;
        },
      }
    : { error: true },
);
if (channel) openChannel(python.FS);
python.FS.mkdir("/program");
for (const [name, text] of Object.entries(files)) python.FS.writeFile(`/program/${name}`, text);
python.FS.chdir("/tmp");
limitFiles(python.FS.filesystems, python.FS.ErrnoError, memoryMb * 2 ** 20);
for (const name of GLOBALS) delete globalThis[name];
writeSync(3, "r");
exit(python.runPython(RUN));
