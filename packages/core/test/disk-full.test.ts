// Every error code by which a system refuses to write for want of room.
import { expect, test } from "vitest";
import { explainWriteError } from "../src/index.ts";

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
