// Every error code by which a system refuses to write for want of room.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { explainWriteError, writePieces, writeSafetensors, writeWhole } from "../src/index.ts";

const refused = vi.hoisted(() => ({ path: "" }));
/** Opening the path fails as that of a file which may not be written to. */
function refuse(path: unknown, flags: unknown): void {
  if (path === refused.path && flags === "w")
    throw Object.assign(new Error("EACCES: denied"), { code: "EACCES" });
}
vi.mock("node:fs", async (original) => {
  const real = await original<typeof import("node:fs")>();
  const openSync = (path: string, flags: string) => {
    refuse(path, flags);
    return real.openSync(path, flags);
  };
  return { ...real, openSync, default: { ...real, openSync } };
});
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const open = async (path: string, flags: string) => {
    refuse(path, flags);
    return real.open(path, flags);
  };
  return { ...real, open, default: { ...real, open } };
});

test.each(["ENOSPC", "EDQUOT", "EFBIG"])("%s_is_a_full_disk_with_exit_3", (code) => {
  const cause = Object.assign(new Error("write"), { code });
  expect(explainWriteError("/runs/a", cause)).toMatchObject({
    code: "disk_full",
    what: "cannot write /runs/a",
    why: expect.stringContaining(code),
    exitCode: 3,
    cause,
  });
});

test.each(["EACCES", "ENOENT", undefined])("%s_passes_as_it_is", (code) => {
  const error = Object.assign(new Error("write"), { code });
  expect(explainWriteError("/runs/a", error)).toBe(error);
});

test.each([
  ["writeWhole", (path: string) => writeWhole(path, Buffer.from("x"))],
  ["writeSafetensors", (path: string) => writeSafetensors(path, [])],
  ["writePieces", (path: string) => writePieces(path, [{ bytes: 1, read: () => undefined }])],
])("%s_removes_only_what_it_has_opened", async (_, write) => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-opened-"));
  const path = join(dir, "kept");
  writeFileSync(path, "valuable");
  refused.path = path;
  try {
    await expect(async () => await write(path)).rejects.toThrow(/EACCES/);
  } finally {
    refused.path = "";
  }
  expect(readFileSync(path, "utf8")).toBe("valuable");
  rmSync(dir, { recursive: true });
});
