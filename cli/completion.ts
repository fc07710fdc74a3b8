import type { Command } from 'commander';

/** Completion of the `farm` command in shells, made of its commands and their options. */

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface Node {
  /** Words behind `farm`: "models load". Empty: the command itself. */
  readonly words: readonly string[];
  readonly commands: readonly { readonly name: string; readonly about: string }[];
  readonly options: readonly { readonly name: string; readonly about: string; readonly choices: readonly string[] }[];
}

/** The script for a shell to read. */
export function completionScript(program: Command, shell: Shell): string {
  const nodes = walk(program, []);
  if (shell === 'fish') return fishScript(nodes);
  return shell === 'bash'
    ? bashScript(nodes)
    : `#compdef farm\nautoload -U bashcompinit && bashcompinit\n${bashScript(nodes)}`;
}

function walk(command: Command, words: readonly string[]): Node[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command).filter((child) => child.name() !== 'help');
  const options = help.visibleOptions(command).map((option) => ({
    name: option.long ?? option.short ?? '',
    about: option.description,
    choices: option.argChoices ?? [],
  }));
  const own = commands.map((child) => ({ name: child.name(), about: child.description() }));
  return [{ words, commands: own, options }, ...commands.flatMap((child) => walk(child, [...words, child.name()]))];
}

/** Commands and options by the words before them; files where there is nothing of that. */
function bashScript(nodes: readonly Node[]): string {
  const known = nodes.filter(({ words }) => words.length > 0).map(({ words }) => `"${words.join(' ')}"`);
  const lists = nodes.map(({ words, commands, options }) => {
    const all = [...commands.map(({ name }) => name), ...options.map(({ name }) => name)];
    return `    "${words.join(' ')}") list="${all.join(' ')}" ;;`;
  });
  const values = nodes.flatMap(({ words, options }) =>
    options.flatMap(({ name, choices }) =>
      choices.length > 0 ? [`    "${[...words, name].join(' ')}") list="${choices.join(' ')}" ;;`] : [],
    ),
  );
  return `# Completion of farm: eval "$(farm completion bash)"
_farm() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" path="" list="" next at
  for ((at = 1; at < COMP_CWORD; at++)); do
    next="\${path:+$path }\${COMP_WORDS[at]}"
    case "$next" in
    ${known.join('|')}) path="$next" ;;
    esac
  done
  case "\${path:+$path }$before" in
${values.join('\n')}
    *)
      case "$path" in
${lists.map((line) => `  ${line}`).join('\n')}
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$list" -- "$word"))
}
complete -o default -o bashdefault -F _farm farm
`;
}

function fishScript(nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ words, commands, options }) => {
    const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    const without = `not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(' ')}`;
    const condition = words.length === 0 ? '__fish_use_subcommand' : `${seen}; and ${without}`;
    return [
      ...commands.map(({ name, about }) => `complete -c farm -f -n '${condition}' -a ${name} -d ${quoted(about)}`),
      ...options.map(({ name, about, choices }) => {
        const values = choices.length > 0 ? ` -x -a '${choices.join(' ')}'` : '';
        return `complete -c farm -n '${seen || '__fish_use_subcommand'}' -l ${name.replace(/^-+/, '')}${values} -d ${quoted(about)}`;
      }),
    ];
  });
  return `# Completion of farm: farm completion fish | source\n${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
