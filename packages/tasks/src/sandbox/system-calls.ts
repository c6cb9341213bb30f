// The filter of system calls for programs in bubblewrap: a seccomp program in classic BPF, as bwrap's --seccomp reads it.
//
// What makes memory that no limit of a process counts (memfd, System V), opens other kinds of sockets than local and internet
// ones (a virtual machine's host answers on vsock whatever the network namespace), or reaches for the kernel (namespaces, mounts,
// tracing, io_uring, BPF, keys) is refused with EPERM. Numbers above those listed here are refused as not implemented, so that a newer
// kernel opens nothing. All else is left as it is: Python and its packages need most of it.
import { arch } from "node:process";

/** System calls by name: numbers on x86-64 and on arm64; null where the architecture has none of this name. */
const REFUSED: Record<string, readonly [number | null, number | null]> = {
  // Memory outside the limits of a process.
  memfd_create: [319, 279],
  memfd_secret: [447, 447],
  shmget: [29, 194],
  shmat: [30, 196],
  shmctl: [31, 195],
  semget: [64, 190],
  msgget: [68, 186],
  mq_open: [240, 180],
  // Other processes.
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  process_madvise: [440, 440],
  kcmp: [312, 272],
  pidfd_getfd: [438, 438],
  // Namespaces and mounts.
  unshare: [272, 97],
  setns: [308, 268],
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  statmount: [457, 457],
  listmount: [458, 458],
  // The kernel itself.
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  open_by_handle_at: [304, 265],
  name_to_handle_at: [303, 264],
  fanotify_init: [300, 262],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  reboot: [169, 142],
  swapon: [167, 224],
  swapoff: [168, 225],
  acct: [163, 89],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  syslog: [103, 116],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  personality: [135, 92],
  vhangup: [153, 58],
  modify_ldt: [154, null],
  iopl: [172, null],
  ioperm: [173, null],
  uselib: [134, null],
  mbind: [237, 235],
  set_mempolicy: [238, 237],
  migrate_pages: [256, 238],
  move_pages: [279, 239],
};
const SOCKETS = { socket: [41, 198], socketpair: [53, 199] } as const;
const CLONE = [56, 220] as const;
const CLONE3 = 435;
/** The last number of Linux 6.14; both architectures have counted alike since 424. */
const LAST = 466;

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const NEW_NAMESPACES = 0x7e02_0000;
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. */
const FAMILIES = [1, 2, 10, 16];

const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97];
const [NUMBER_AT, ARCH_AT, FIRST_ARGUMENT_AT] = [0, 4, 16];
const [LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN] = [0x20, 0x15, 0x35, 0x45, 0x06];
const ALLOW = 0x7fff_0000;
const KILL = 0x8000_0000;
const refuse = (errno: number) => 0x0005_0000 | errno;

type Instruction = readonly [code: number, k: number, ifTrue?: number, ifFalse?: number];

const architectures: Partial<Record<string, { audit: number; column: 0 | 1 }>> = {
  x64: { audit: 0xc000_003e, column: 0 },
  arm64: { audit: 0xc000_00b7, column: 1 },
};

/** Returns `value` where the loaded number is `k`; else continues behind it. */
const returnIf = (k: number, value: number): Instruction[] => [
  [EQUAL, k, 0, 1],
  [RETURN, value],
];

function instructions(audit: number, column: 0 | 1): Instruction[] {
  const families: Instruction[] = [
    [LOAD, FIRST_ARGUMENT_AT],
    ...FAMILIES.flatMap((family) => returnIf(family, ALLOW)),
    [RETURN, refuse(EAFNOSUPPORT)],
  ];
  const namespaces: Instruction[] = [
    [LOAD, FIRST_ARGUMENT_AT],
    [ANY_BIT, NEW_NAMESPACES, 0, 1],
    [RETURN, refuse(EPERM)],
    [RETURN, ALLOW],
  ];
  return [
    [LOAD, ARCH_AT],
    [EQUAL, audit, 1, 0],
    [RETURN, KILL],
    [LOAD, NUMBER_AT],
    // Without its flags in a register, clone3 cannot be judged: libraries fall back to clone.
    ...returnIf(CLONE3, refuse(ENOSYS)),
    // Numbers of the x32 interface are above this, too.
    [AT_LEAST, LAST + 1, 0, 1],
    [RETURN, refuse(ENOSYS)],
    ...Object.values(REFUSED).flatMap((numbers) => {
      const number = numbers[column];
      return number === null ? [] : returnIf(number, refuse(EPERM));
    }),
    ...Object.values(SOCKETS).flatMap((numbers): Instruction[] => [
      [EQUAL, numbers[column], 0, families.length],
      ...families,
    ]),
    [EQUAL, CLONE[column], 0, namespaces.length],
    ...namespaces,
    [RETURN, ALLOW],
  ];
}

/** The filter as the kernel reads it, or undefined where this architecture has no list. */
export function systemCallFilter(architecture: string = arch): Buffer | undefined {
  const known = architectures[architecture];
  if (!known) return undefined;
  const program = instructions(known.audit, known.column);
  const bytes = Buffer.alloc(8 * program.length);
  for (const [i, [code, k, ifTrue = 0, ifFalse = 0]] of program.entries()) {
    bytes.writeUInt16LE(code, 8 * i);
    bytes.writeUInt8(ifTrue, 8 * i + 2);
    bytes.writeUInt8(ifFalse, 8 * i + 3);
    bytes.writeUInt32LE(k >>> 0, 8 * i + 4);
  }
  return bytes;
}

/** Names of the calls that are refused, for the documentation's test. */
export const refusedCalls: readonly string[] = Object.keys(REFUSED);
