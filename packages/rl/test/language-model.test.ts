// Which languages need the identifier: without its model file, their reward ends a run before the first step.
import { expect, test, vi } from "vitest";
import { rewardKinds } from "../src/rewards/registry.ts";

vi.mock("@nsa/data", async (original) => ({
  ...(await original<object>()),
  loadLanguageModel: () => Promise.reject(new Error("no such file")),
}));

test("languages_that_share_their_scripts_need_the_identifier_and_others_do_not", async () => {
  const open = async (language: string) =>
    rewardKinds.get("language").open({ language } as never, {} as never);
  for (const language of ["en", "ru", "hi", "ar", "sr"])
    await expect(open(language)).rejects.toThrow("no such file");
  for (const language of ["zh", "ja", "ko", "th", "el"]) await expect(open(language)).resolves.toBeDefined();
});
