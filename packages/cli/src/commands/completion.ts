// `nsa completion`: scripts for shells, made from the commands themselves.
import type { Command } from "commander";

interface Place {
  /** Words after `nsa` that lead here, each with a space before it. */
  path: string;
  commands: string[];
  options: string[];
}

function places(command: Command, path = ""): Place[] {
  const own = {
    path,
    commands: command.commands.map((c) => c.name()),
    options: [...command.options.flatMap((o) => o.long ?? []), "--help"],
  };
  return [own, ...command.commands.flatMap((c) => places(c, `${path} ${c.name()}`))];
}

function bash(all: readonly Place[]): string {
  const known = all.filter((p) => p.path !== "").map((p) => `"${p.path}"`);
  const cases = all.map(
    (p) =>
      `    "${p.path}") words="${[...p.commands, ...p.options].join(" ")}"; leaf=${p.commands.length ? 0 : 1} ;;`,
  );
  return `_nsa() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" path="" words="" leaf=0 word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
      ${known.join("|")}) path="$path $word" ;;
    esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [ $leaf = 1 ] && [ "\${cur#-}" = "$cur" ]; then COMPREPLY=($(compgen -f -- "$cur")); fi
}
complete -o filenames -F _nsa nsa
`;
}

function fish(all: readonly Place[]): string {
  const lines = all.flatMap(({ path, commands, options }) => {
    const at = `-n '__nsa_at${path}'`;
    return [
      ...(commands.length ? [`complete -c nsa -f ${at} -a '${commands.join(" ")}'`] : []),
      ...options.map((option) => `complete -c nsa ${at} -l ${option.slice(2)}`),
    ];
  });
  return `function __nsa_at
  set -l words (string match -v -- '-*' (commandline -opc))[2..-1]
  test (count $argv) -eq 0; and test (count $words) -eq 0; and return 0
  test (count $argv) -gt 0; and test "$words[1..(count $argv)]" = "$argv"
end
${lines.join("\n")}
`;
}

/** The script of a shell; zsh uses bash's through its own compatibility layer. */
export function completionScript(program: Command, shell: "bash" | "zsh" | "fish"): string {
  const all = places(program);
  if (shell === "fish") return fish(all);
  return shell === "zsh" ? `autoload -U +X bashcompinit && bashcompinit\n${bash(all)}` : bash(all);
}
