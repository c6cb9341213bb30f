// Repairs: a repository of a few modules, one of which does not do what an issue asks; the answer is a patch that hidden tests judge.
import { writeBlock } from "../protocol/patch.ts";
import type { Draw, FamilyDefinition, Problem } from "./definition.ts";

const NAMES = ["price", "tax", "scale", "shift", "weight", "score", "level", "rate", "size", "cost"];

/** Arguments of the tests: asymmetric, 0 and a negative one among them. */
const ARGUMENTS = [0, 1, 7, -3, 20];

/** A module `name.py`: its function gives x * factor + offset, or x * factor - offset. */
interface Module {
  name: string;
  factor: number;
  offset: number;
  sign: 1 | -1;
}

const lineOf = ({ factor, offset, sign }: Module) =>
  `    return x * ${factor} ${sign > 0 ? "+" : "-"} ${offset}`;
const textOf = (module: Module) => `def ${module.name}(x):\n${lineOf(module)}\n`;
const resultOf = ({ factor, offset, sign }: Module, x: number) => x * factor + sign * offset;

/** What can be asked of a module, and the module that does it. */
const issues: readonly ((module: Module, k: number) => [issue: string, repaired: Module])[] = [
  (m, k) => [`${m.name} must multiply by ${k}`, { ...m, factor: k }],
  (m, k) => [m.sign > 0 ? `${m.name} must add ${k}` : `${m.name} must subtract ${k}`, { ...m, offset: k }],
  (m) => [
    m.sign > 0 ? `${m.name} must subtract ${m.offset}` : `${m.name} must add ${m.offset}`,
    { ...m, sign: m.sign > 0 ? -1 : 1 },
  ],
];

function drawModules(int: Draw, count: number): Module[] {
  const names = [...NAMES];
  return Array.from({ length: Math.min(count, NAMES.length) }, () => ({
    name: names.splice(int(names.length), 1)[0]!,
    factor: 2 + int(8),
    offset: 1 + int(9),
    sign: int(2) === 0 ? 1 : -1,
  }));
}

/** `main.py` applies all functions one after another. */
function mainOf(modules: readonly Module[]): string {
  const imports = modules.map(({ name }) => `from ${name} import ${name}\n`).join("");
  return `${imports}\n\ndef total(x):\n    return ${modules.reduce((x, { name }) => `${name}(${x})`, "x")}\n`;
}

/** Another number from 2 to 10 than the module has. */
const other = (int: Draw, { factor, offset }: Module): number => {
  const free = [2, 3, 4, 5, 6, 7, 8, 9, 10].filter((k) => k !== factor && k !== offset);
  return free[int(free.length)]!;
};

/** The patch that does what the issue asks of its module; a slip misses the number, or changes the sign of a wrong one. */
function patchOf({ question, repository }: Omit<Problem, "id">, slip: boolean): string {
  const [, name, verb, k] = /Issue: (\w+) must (\w+) (?:by )?(\d+)/.exec(question)!;
  const path = `${name}.py`;
  const old = repository!.files[path]!.split("\n")[1]!;
  const wanted = Number(k) + (slip ? 1 : 0);
  const repaired =
    verb === "multiply"
      ? old.replace(/\* \d+/, `* ${wanted}`)
      : old.replace(/[+-] \d+$/, `${verb === "add" ? "+" : "-"} ${wanted}`);
  return writeBlock(path, old, repaired);
}

/** `difficulty` modules. */
export const repairs: FamilyDefinition = {
  name: "repairs",
  difficulty: "modules",
  answerForm: "any",
  draw: (int, count) => {
    const modules = drawModules(int, count);
    const at = int(modules.length);
    const [issue, repaired] = issues[int(issues.length)]!(modules[at]!, other(int, modules[at]!));
    const right = modules.with(at, repaired);
    const files = Object.fromEntries([
      ...modules.map((module) => [`${module.name}.py`, textOf(module)] as const),
      ["main.py", mainOf(modules)] as const,
    ]);
    const shown = Object.entries(files).map(([path, text]) => `${path}\n${text}\n`);
    const tests = ARGUMENTS.flatMap((x) => [
      ...right.map((module) => `assert ${module.name}(${x}) == ${resultOf(module, x)}`),
      `assert total(${x}) == ${right.reduce((y, module) => resultOf(module, y), x)}`,
    ]);
    const setup = `${modules.map(({ name }) => `from ${name} import ${name}\n`).join("")}from main import total`;
    return {
      question: `${shown.join("")}Issue: ${issue}.`,
      answer: "",
      tests,
      repository: { files, setup },
    };
  },
  keyOf: (question) => question,
  working: (problem, _, slip) => ({ text: "", answer: patchOf(problem, slip) }),
  calls: (problem, _, slip) => [{ tool: "patch", text: patchOf(problem, slip), output: "" }],
};
