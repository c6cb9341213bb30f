// Bugs to plant, one for each target: a check that is left out. Loaded by --import, this file plants the bug of the target that
// NSA_FUZZ_PLANT names, into the sources as they are loaded.
import { readFileSync } from "node:fs";
import { createRequire, register } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

/** For each target: end of a file's path, text that stands there once, and what takes its place. */
const PLANTS = {
  recipe: [
    ["core/src/config/source.ts", "throw syntaxError(file, (error as Error).message);", "throw error;"],
  ],
  tokenizer: [["data/src/tokenizer/json.ts", "if (!Array.isArray(merges)) throw", "if (false) throw"]],
  safetensors: [["core/src/safetensors/format.ts", "if (raw === undefined) throw", "if (false) throw"]],
  fasttext: [
    [
      "data/src/corpus/fasttext/model.ts",
      'throw bad(path, "the input matrix does not fit the dictionary")',
      "void 0",
    ],
  ],
  warc: [["data/src/corpus/readers/archive.ts", "if (!http) throw", "if (false) throw"]],
  jsonl: [["data/src/corpus/readers/jsonl.ts", "if (row === null || ", "if ("]],
  parquet: [
    [
      "data/src/corpus/readers/row-groups.ts",
      'if ("schema" in reply) return reply.schema;',
      "return (reply as any).schema;",
    ],
  ],
  grader: [["tasks/src/grader/grade.ts", "error instanceof Unreadable || error", "error"]],
  jinja: [
    ["tasks/src/chat/template.ts", "if (!(mistake instanceof JinjaMistake)) throw cause;", "throw cause;"],
  ],
  mathml: [
    [
      "data/src/corpus/extract/math/mark.ts",
      "} catch {\n    return undefined;",
      "} catch (error) {\n    throw error;",
    ],
    ["data/src/corpus/extract/math/latex.ts", 'if (!node) return "";\n  if (node.kids', "if (node.kids"],
  ],
  html: [["data/src/corpus/extract/html.ts", "depth < READABLE_DEPTH && depths < READABLE_DEPTHS", "true"]],
};

export const plantedTargets = Object.keys(PLANTS);

const target = process.env.NSA_FUZZ_PLANT;

/** The source of a file with its bug. Throws where the text to replace does not stand there once. */
function planted(path, text, replacement) {
  const source = readFileSync(path, "utf8");
  if (source.split(text).length !== 2)
    throw new Error(`${path} has no, or more than one, ${JSON.stringify(text)}`);
  return source.replace(text, () => replacement);
}

/** Hook of the module loader. */
export async function load(url, context, next) {
  const plant =
    url.startsWith("file:") &&
    PLANTS[target]?.find(([end]) => url.split("?")[0].endsWith(`/packages/${end}`));
  if (!plant) return next(url, context);
  const source = planted(fileURLToPath(url.split("?")[0]), plant[1], plant[2]);
  // The compiler of tsx.
  const { transformSync } = createRequire(createRequire(import.meta.url).resolve("tsx"))("esbuild");
  const { code } = transformSync(source, { loader: "ts", format: "esm", target: "node20" });
  return { format: "module", source: code, shortCircuit: true };
}

if (isMainThread && target) register(import.meta.url);
