// The shape of the imports: no circles, types and lazy imports included.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** Source files of all packages by path, with their texts. */
function sources(): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(join(root, "packages")))
    for (const file of readdirSync(join(root, "packages", name, "src"), { recursive: true }) as string[])
      if (/\.tsx?$/.test(file)) {
        const path = join("packages", name, "src", file);
        found.set(path, readFileSync(join(root, path), "utf8"));
      }
  return found;
}

/** Files that each file imports in any way; another package counts as its index.ts. */
function importsOf(texts: ReadonlyMap<string, string>): Map<string, string[]> {
  const edges = new Map<string, string[]>();
  for (const [path, text] of texts) {
    const names = [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g)].map((m) => m[1]!);
    const targets = names.flatMap((name) => {
      if (name.startsWith(".")) return [join(dirname(path), name)];
      return name.startsWith("@nsa/") ? [join("packages", name.slice(5), "src/index.ts")] : [];
    });
    edges.set(
      path,
      targets.filter((target) => texts.has(target)),
    );
  }
  return edges;
}

/** Groups of nodes that reach one another (Tarjan's strongly connected components of more than one node). */
function circlesOf(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const [order, low] = [new Map<string, number>(), new Map<string, number>()];
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (node: string): void => {
    order.set(node, order.size);
    low.set(node, order.get(node)!);
    stack.push(node);
    for (const next of edges.get(node) ?? []) {
      if (!order.has(next)) {
        visit(next);
        low.set(node, Math.min(low.get(node)!, low.get(next)!));
      } else if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, order.get(next)!));
    }
    if (low.get(node) !== order.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1 || edges.get(node)?.includes(node)) circles.push(circle.sort());
  };
  for (const node of edges.keys()) if (!order.has(node)) visit(node);
  return circles;
}

test("circles_are_found_whatever_their_length", () => {
  const edges = new Map([
    ["a", ["b", "d"]],
    ["b", ["c"]],
    ["c", ["b"]],
    ["d", ["d"]],
    ["e", ["a"]],
  ]);
  expect(circlesOf(edges)).toEqual([["b", "c"], ["d"]]);
});

test("no_source_file_imports_itself_through_others", () => {
  const edges = importsOf(sources());
  expect(edges.size).toBeGreaterThan(300);
  expect([...edges.values()].flat().length).toBeGreaterThan(900);
  expect(circlesOf(edges)).toEqual([]);
});

/** Files that may compare with the name of a member: the member's own, and the formats of others. */
const OWN =
  /^packages\/(model\/src\/(attention|mlp|hf)|kernels\/src\/ops\/nsa-|(model|train)\/src\/(train\/)?optim)/;

test("no_source_asks_which_member_of_a_registry_it_has", () => {
  const asking =
    /(?:[!=]==|\bcase)\s*["'](?:nsa|full|window|swiglu|adamw|muon|cosine|wsd|multi_step|gspo|cispo)["']/;
  const wrong = [...sources()].filter(([path, text]) => !OWN.test(path) && asking.test(text)).map(([p]) => p);
  expect(wrong).toEqual([]);
});
