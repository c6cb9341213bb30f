// Registries: members by name, what a recipe may name, and what an unknown name ends in.
import { expect, test } from "vitest";
import { z } from "zod";
import { configJsonSchema, explainConfig, memberName, parseConfig, Registry } from "../src/index.ts";

const shapes = new Registry<{ name: string; sides: number }>("shape").register(
  { name: "triangle", sides: 3 },
  { name: "square", sides: 4 },
);

test("members_are_found_by_name_and_a_second_of_the_same_name_is_refused", () => {
  expect(shapes.get("square").sides).toBe(4);
  expect(shapes.names).toEqual(["triangle", "square"]);
  expect(() => shapes.register({ name: "square", sides: 5 })).toThrow(
    expect.objectContaining({ code: "registry_name_taken", exitCode: 2 }),
  );
  const same = shapes.get("square");
  expect(() => shapes.register(same)).not.toThrow();
});

test("an_unknown_member_is_not_available_and_the_nearest_is_named", () => {
  expect(() => shapes.get("sqare")).toThrow(
    expect.objectContaining({
      code: "registry_unknown",
      exitCode: 4,
      why: "there are triangle, square",
      fix: expect.stringMatching(/^did you mean square\? If not, load the plugin/),
    }),
  );
});

test("a_recipe_may_name_what_is_registered_by_then", () => {
  const schema = z.strictObject({ shape: memberName("shape").default("square").describe("Outline") });
  expect(parseConfig(schema, {}, "x.yaml").shape).toBe("square");
  expect(() => parseConfig(schema, { shape: "hexagon" }, "x.yaml")).toThrow(
    expect.objectContaining({ exitCode: 2, why: expect.stringContaining("there are triangle, square") }),
  );
  shapes.register({ name: "hexagon", sides: 6 });
  expect(parseConfig(schema, { shape: "hexagon" }, "x.yaml").shape).toBe("hexagon");
  const json = configJsonSchema(schema, "t") as { properties: { shape: Record<string, unknown> } };
  expect(json.properties.shape.enum).toEqual(["triangle", "square", "hexagon"]);
  expect(json.properties.shape).not.toHaveProperty("registry");
  expect(explainConfig(schema)[0]).toMatchObject({ path: "shape", type: "triangle | square | hexagon" });
});
