// The tree of a parsed template.

export interface Argument {
  /** `*` and `**` unpack. */
  kind: "value" | "named" | "list" | "dict";
  name: string;
  value: Expression;
}

export interface Parameter {
  name: string;
  otherwise: Expression | undefined;
}

export type Expression =
  | { kind: "constant"; value: string | number | boolean | null }
  | { kind: "float"; value: number }
  | { kind: "name"; name: string }
  | { kind: "tuple"; items: Expression[] }
  | { kind: "list"; items: Expression[] }
  | { kind: "dict"; entries: [Expression, Expression][] }
  | { kind: "attribute"; of: Expression; name: string }
  | { kind: "item"; of: Expression; key: Expression }
  | { kind: "slice"; from?: Expression; to?: Expression; step?: Expression }
  | { kind: "call"; of: Expression; args: Argument[] }
  | { kind: "filter"; of: Expression | undefined; name: string; args: Argument[] }
  | { kind: "test"; of: Expression; name: string; args: Argument[]; negated: boolean }
  | { kind: "not"; of: Expression }
  | { kind: "sign"; sign: "-" | "+"; of: Expression }
  | { kind: "operation"; operator: string; left: Expression; right: Expression }
  | { kind: "joined"; items: Expression[] }
  | { kind: "and" | "or"; left: Expression; right: Expression }
  | { kind: "comparison"; first: Expression; rest: { operator: string; value: Expression }[] }
  | { kind: "choice"; test: Expression; value: Expression; otherwise: Expression | undefined };

/** What `set`, `for` and `with` assign to. */
export type Target =
  | { kind: "name"; name: string }
  | { kind: "member"; of: string; name: string }
  | { kind: "tuple"; items: Target[] };

export type Statement =
  | { kind: "text"; text: string }
  | { kind: "print"; value: Expression }
  | { kind: "if"; branches: { test: Expression; body: Statement[] }[]; otherwise: Statement[] }
  | {
      kind: "for";
      target: Target;
      over: Expression;
      test: Expression | undefined;
      recursive: boolean;
      body: Statement[];
      otherwise: Statement[];
    }
  | { kind: "set"; target: Target; value: Expression }
  | { kind: "set_block"; target: Target; filter: Expression | undefined; body: Statement[] }
  | { kind: "macro"; name: string; parameters: Parameter[]; body: Statement[] }
  | { kind: "call_block"; call: Expression; parameters: Parameter[]; body: Statement[] }
  | { kind: "filter_block"; filter: Expression; body: Statement[] }
  | { kind: "with"; values: { target: Target; value: Expression }[]; body: Statement[] }
  | { kind: "scope"; body: Statement[] }
  | { kind: "break" }
  | { kind: "continue" };
