// One rank of the collectives' tests: runs a script of operations on small tensors and prints what it holds after each, as JSON.
import { Device, openDeviceCollectives, openRankPipes, type PartOptions, singleRank } from "../src/index.ts";

export interface Call {
  op:
    | "allReduce"
    | "allReduceNumbers"
    | "reduceScatter"
    | "reduceTo"
    | "allGather"
    | "broadcast"
    | "gatherBytes"
    | "barrier"
    | "die";
  /** The values of each rank; of reduceScatter the whole, of allGather the part. */
  values?: number[][];
  dtype?: "f32" | "f64" | "i32" | "bf16";
  lengths?: number[];
  group?: number[];
  root?: number;
  /** Only this rank does it. */
  only?: number;
}

const [rank, world, folder, script] = process.argv.slice(2) as [string, string, string, string];
const me = Number(rank);
const identity = process.env.NSA_TEST_IDENTITY;
const place = { rank: me, world: Number(world), folder, ...(identity && { identity: JSON.parse(identity) }) };
/** `cuda`: tensors pass by the worlds of that backend, a GPU each. */
const kind = process.env.NSA_RANKS_DEVICE === "cuda" ? "cuda" : "cpu";

function open(device: ReturnType<typeof Device.open>) {
  if (kind === "cuda") return openDeviceCollectives(device, place);
  // Three elements a piece, so that most tensors take several.
  return world === "1" ? singleRank : openRankPipes(place, 3);
}

try {
  const device = Device.open(kind, { threads: 1, ordinal: me });
  const all = open(device);
  const out = (JSON.parse(script) as Call[]).map((call) => run(call));
  console.log(JSON.stringify(out));

  function run({ op, values = [], dtype = "f32", lengths, group, root, only }: Call): unknown {
    if (only !== undefined && only !== me) return null;
    if (group && !group.includes(me)) return null;
    const own = values[me] ?? [];
    const t = () => device.from(own, [own.length], dtype);
    const options: PartOptions = { ...(lengths && { lengths }), ...(group && { group }) };
    const size = group?.length ?? Number(world);
    const place = (group ? [...group].sort((a, b) => a - b) : [...Array(size).keys()]).indexOf(me);
    const share = (n: number) => lengths?.[place] ?? Math.floor(n / size) + (place < n % size ? 1 : 0);
    if (op === "die") return process.kill(process.pid, "SIGKILL");
    if (op === "barrier") return all.barrier(group) ?? "passed";
    if (op === "gatherBytes") return all.gatherBytes(Uint8Array.from(own), group).map((b) => [...b]);
    if (op === "allReduceNumbers") return all.allReduceNumbers(own, group);
    if (op === "allReduce") {
      const x = t();
      all.allReduce(x, group);
      return [...x.read()];
    }
    if (op === "reduceTo") {
      // Two in one transfer: the ranks' values, and their first two.
      const [x, y] = [t(), device.from(own.slice(0, 2), [2], dtype)];
      all.together(() => {
        all.reduceTo(x, root!);
        all.reduceTo(y, 0);
      });
      all.settle();
      return [me === root ? [...x.read()] : null, me === 0 ? [...y.read()] : null];
    }
    if (op === "broadcast") {
      const x = t();
      all.broadcast(x, root!, group);
      return [...x.read()];
    }
    const length =
      op === "reduceScatter" ? share(own.length) : (lengths?.reduce((a, b) => a + b, 0) ?? own.length * size);
    const result = device.zeros([Math.max(1, length)], dtype).view(0, [length]);
    if (op === "reduceScatter") all.reduceScatter(t(), result, options);
    else all.allGather(t(), result, options);
    return length === 0 ? [] : [...result.read()];
  }
} catch (error) {
  const { code, what, why, message } = error as Record<string, string>;
  console.log(JSON.stringify({ code, what, why, message }));
  process.exitCode = 1;
}
