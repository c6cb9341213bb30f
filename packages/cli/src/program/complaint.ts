// Complaints of the command-line parser in the form of every other error: what, why, fix.

interface Complaint {
  what: string;
  why: string;
  fix: string;
}

const HELP = "see `nsa --help`, or `--help` after the command";

const plainEnd = (text: string) => text.replace(/\.\s*$/, "");
/** A rule of a value, such as `it must be a whole number of at least 1`. */
const rule = (text: string) =>
  plainEnd(text.charAt(0).toLowerCase() + text.slice(1)).replace(
    /^allowed choices are /,
    "it must be one of ",
  );

const order = (text: string) => `give ${rule(text).replace(/^it must be /, "")}`;

/** What the parser writes, and what that comes to. */
const FORMS: readonly [RegExp, (...found: string[]) => Complaint][] = [
  [
    /^option '(.*?)' argument '(.*)' is invalid\. (.*)$/s,
    (option, value, must) => ({ what: `${option}: ${value}`, why: rule(must!), fix: order(must!) }),
  ],
  [
    /^command-argument value '(.*)' is invalid for argument '(.*?)'\. (.*)$/s,
    (value, name, must) => ({ what: `${name}: ${value}`, why: rule(must!), fix: order(must!) }),
  ],
  [
    /^required option '(.*)' not specified$/,
    (option) => ({
      what: `there is no ${option}`,
      why: "the command needs it",
      fix: `add ${option}; ${HELP}`,
    }),
  ],
  [
    /^missing required argument '(.*)'$/,
    (name) => ({
      what: `there is no <${name}>`,
      why: "the command needs it",
      fix: `add the ${name}; ${HELP}`,
    }),
  ],
  [
    /^option '(.*)' argument missing$/,
    (option) => ({
      what: `${option} without a value`,
      why: "the option takes one",
      fix: `write ${option}; ${HELP}`,
    }),
  ],
  [
    /^unknown option '(.*)'$/,
    (option) => ({ what: `unknown option '${option}'`, why: "the command has no such option", fix: HELP }),
  ],
  [
    /^unknown command '(.*)'$/,
    (name) => ({ what: `unknown command '${name}'`, why: "there is no command of this name", fix: HELP }),
  ],
  [
    /^too many arguments(?: for '(.*)')?\. Expected (\d+) arguments? but got (\d+)$/,
    (name, most, given) => ({
      what: `too many arguments${name ? ` for \`${name}\`` : ""}`,
      why: `${given} are given, and it takes ${most}`,
      fix: `leave the others out, or quote one that has spaces; ${HELP}`,
    }),
  ],
  [
    /^(.*) cannot be used with (.*)$/,
    (one, other) => ({
      what: `${one} beside ${other}`,
      why: "they exclude each other",
      fix: "leave one out",
    }),
  ],
];

/** The parser's text as three lines; its hint, if any, is in parentheses. */
export function threeLines(text: string): string {
  const [, said, hint] = /^error: (.*?)(?:\s*\(Did you mean (.*?)\?\))?\s*$/s.exec(text) ?? [
    undefined,
    text.trim(),
  ];
  const known = FORMS.flatMap(([form, make]) => {
    const found = form.exec(plainEnd(said!));
    return found ? [make(...found.slice(1))] : [];
  });
  const { what, why, fix } = known[0] ?? { what: said!, why: "the command cannot read it", fix: HELP };
  return `error: ${what}\n  why: ${why}\n  fix: ${hint ? `did you mean ${hint}?` : fix}\n`;
}
