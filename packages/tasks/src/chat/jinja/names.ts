// Filters and tests that a template may name: others are mistakes when it is read, as in Python.

const words = (lines: string[]): ReadonlySet<string> => new Set(lines.flatMap((line) => line.split(" ")));

export const filterNames = words([
  "abs attr batch capitalize center count d default dictsort first float format groupby indent int items join last",
  "length list lower map max min reject rejectattr replace reverse round safe select selectattr slice sort string sum",
  "title tojson trim truncate unique upper wordcount",
]);

export const testNames = words([
  "boolean callable defined divisibleby eq equalto even false filter float ge greaterthan gt in integer iterable le",
  "lessthan lower lt mapping ne none number odd sameas sequence string test true undefined upper",
]);
