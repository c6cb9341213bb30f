// Builds the addons by CMake into build/native; with --cuda also libnsa_cuda.so. Does nothing when sources are unchanged.
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { digest, has, must, once, root } from "./lib.mjs";

const cuda = process.argv.includes("--cuda");
const sources = ["CMakeLists.txt", "packages/kernels/native", "packages/data/native"];
const require = createRequire(join(root, "package.json"));

/** CMake refuses a build folder that was made elsewhere: a clone that was moved or copied starts it again. */
function forgetMovedTree() {
  const cache = join(root, "build/native/CMakeCache.txt");
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, "utf8"))?.[1];
  if (home === root) return;
  rmSync(cache);
  rmSync(join(root, "build/native/CMakeFiles"), { recursive: true, force: true });
}

export function buildNative() {
  for (const tool of ["cmake", "c++"]) {
    if (has(tool)) continue;
    console.error(
      `${tool} is missing: install a C++20 compiler and CMake (Debian: apt-get install g++ cmake make)`,
    );
    process.exit(4);
  }
  if (cuda && !has("nvcc")) {
    console.error(
      "nvcc is missing: install the CUDA toolkit, or build libnsa_cuda.so elsewhere and carry it",
    );
    process.exit(4);
  }
  if (
    cuda &&
    !readFileSync(join(root, "packages/kernels/native/CMakeLists.txt"), "utf8").includes("nsa_cuda")
  ) {
    console.error("the CUDA backend is not built yet in this version");
    process.exit(4);
  }
  const target = cuda ? "libnsa_cuda.so" : "nsa.node";
  once(cuda ? "cuda" : "native", digest(sources), `build/native/${target}`, () => {
    forgetMovedTree();
    // make takes a damaged product for a new one; the one of before comes back where the build fails.
    const [product, before] = [
      join(root, "build/native", target),
      join(root, "build/native", `${target}.before`),
    ];
    if (existsSync(product)) renameSync(product, before);
    process.once("exit", () => {
      if (!existsSync(before)) return;
      if (existsSync(product)) rmSync(before, { force: true });
      else renameSync(before, product);
    });
    const headers = require("node-api-headers").include_dir;
    const addon = require("node-addon-api").include_dir;
    must("cmake", [
      "-S",
      ".",
      "-B",
      "build/native",
      "-DCMAKE_BUILD_TYPE=Release",
      `-DNODE_API_INCLUDE=${headers}`,
      `-DNODE_ADDON_API_INCLUDE=${addon}`,
      `-DNSA_CUDA=${cuda ? "ON" : "OFF"}`,
    ]);
    must("cmake", ["--build", "build/native", "-j", String(Math.min(8, availableParallelism()))]);
  });
  if (!existsSync(join(root, "build/native", target))) process.exit(1);
}

buildNative();
