// The program that an answer is, as unit tests judge it: its block of Python, or a repository with the answer's patch.
import { z } from "zod";
import { programOf } from "./code-blocks.ts";
import { applyPatch, type Files, pathFault } from "./patch.ts";

/** The files of a small repository, and what the tests use of it. */
export const repositorySchema = z.strictObject({
  files: z.record(
    z.string().refine((path) => pathFault(path) === undefined, "no path inside the repository"),
    z.string(),
  ),
  setup: z
    .string()
    .default("")
    .describe(
      "Python that runs in the repository before the tests, such as `from shop import total`: names that it defines are the tests'",
    ),
});

export type Repository = z.output<typeof repositorySchema>;

/** A program that writes the files into a folder of its own, goes there and runs the setup; paths have been checked. */
function repositoryProgram(files: Files, setup: string): string {
  // JSON of a JSON text is a literal of Python.
  const literal = JSON.stringify(JSON.stringify(files));
  return `import json as _json, os as _os, sys as _sys
for _path, _text in _json.loads(${literal}).items():
    _path = _os.path.join("repository", _path)
    _os.makedirs(_os.path.dirname(_path), exist_ok=True)
    with open(_path, "w", encoding="utf-8", errors="surrogatepass", newline="") as _file:
        _file.write(_text)
_os.chdir("repository")
_sys.path.insert(0, _os.getcwd())
${setup}
`;
}

/** The program of an answer to a problem with tests, behind its thought, or why there is none. */
export function testedProgram(
  completion: string,
  { repository, starter }: { repository?: Repository; starter?: string },
): { code: string } | { fault: string } {
  if (!repository) {
    const code = programOf(completion, starter);
    return code === undefined ? { fault: "it holds no program" } : { code };
  }
  const end = completion.lastIndexOf("</think>");
  if (end < 0 && completion.includes("<think>")) return { fault: "its thought does not end" };
  const patched = applyPatch(repository.files, completion.slice(Math.max(0, end)));
  return "fault" in patched ? patched : { code: repositoryProgram(patched.files, repository.setup) };
}
