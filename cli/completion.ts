import type { Command } from 'commander';
import { WORD_COMMAND, type WordKind } from './completion-words.ts';

/** Completion of the `farm` command in shells, made of its commands and their options. */

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface OfferedOption {
  /** "--model". */
  readonly name: string;
  /** All ways to write it: "--model", "-m". */
  readonly ways: readonly string[];
  readonly about: string;
  readonly choices: readonly string[];
  /** What a running farm knows of its value. */
  readonly kind: WordKind | undefined;
}

interface Node {
  /** Words behind `farm`: "models load". Empty: the command itself. */
  readonly words: readonly string[];
  readonly commands: readonly { readonly name: string; readonly about: string }[];
  readonly options: readonly OfferedOption[];
  /** What a running farm knows of its arguments. */
  readonly kind: WordKind | undefined;
}

/** Commands whose arguments a running farm knows. */
const ARGUMENTS: Readonly<Record<string, WordKind>> = {
  show: 'renders',
  watch: 'unfinished',
  cancel: 'unfinished',
  retry: 'failed',
  rm: 'ended',
  'models load': 'models',
  'models unload': 'models',
  'avatar check': 'models',
  'gpu drain': 'gpus',
  'gpu resume': 'gpus',
  'host drain': 'hosts',
  'host undrain': 'hosts',
  'host forget': 'hosts',
};

/** Options of the same, as they are declared: `avatar import --model` takes a file. */
const VALUES: Readonly<Record<string, WordKind>> = {
  '-m, --model <id>': 'models',
  '-r, --resume <id>': 'renders',
  '-g, --gpu <number>': 'gpus',
};

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
    ways: [option.long, option.short].filter((way) => way !== undefined),
    about: option.description,
    choices: option.argChoices ?? [],
    kind: VALUES[option.flags],
  }));
  const own = commands.map((child) => ({ name: child.name(), about: child.description() }));
  const node = { words, commands: own, options, kind: ARGUMENTS[words.join(' ')] };
  return [node, ...commands.flatMap((child) => walk(child, [...words, child.name()]))];
}

/** Commands, options and what the farm knows, by the words before them; files where there is nothing of that. */
function bashScript(nodes: readonly Node[]): string {
  const known = nodes.filter(({ words }) => words.length > 0).map(({ words }) => `"${words.join(' ')}"`);
  const lists = nodes.map(({ words, commands, options, kind }) => {
    const all = [...commands.map(({ name }) => name), ...options.map(({ name }) => name)];
    const asks = kind ? ` kind="${kind}"` : '';
    return `      "${words.join(' ')}") list="${all.join(' ')}"${asks} ;;`;
  });
  const values = nodes.flatMap(({ words, options }) =>
    options.flatMap(({ ways, choices, kind }) => {
      const patterns = ways.map((way) => `"${[...words, way].join(' ')}"`).join('|');
      if (kind) return [`    ${patterns}) kind="${kind}" ;;`];
      return choices.length > 0 ? [`    ${patterns}) list="${choices.join(' ')}" ;;`] : [];
    }),
  );
  return `# Completion of farm: eval "$(farm completion bash)"
_farm() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" list="" kind="" next at
  # Not "path": that is $PATH in zsh.
  local command=""
  for ((at = 1; at < COMP_CWORD; at++)); do
    next="\${command:+$command }\${COMP_WORDS[at]}"
    case "$next" in
    ${known.join('|')}) command="$next" ;;
    esac
  done
  case "\${command:+$command }$before" in
${values.join('\n')}
    *)
      case "$command" in
${lists.join('\n')}
      esac ;;
  esac
  if [[ -n "$kind" && "$word" != -* ]]; then
    list+=" $("\${COMP_WORDS[0]}" ${WORD_COMMAND} "$kind" "\${COMP_LINE:0:$COMP_POINT}" 2>/dev/null | cut -f1 | tr '\\n' ' ')"
  fi
  COMPREPLY=($(compgen -W "$list" -- "$word"))
}
complete -o default -o bashdefault -F _farm farm
`;
}

function fishScript(nodes: readonly Node[]): string {
  const asks = (kind: WordKind) => `'(farm ${WORD_COMMAND} ${kind} (commandline -opc | string join " ") 2>/dev/null)'`;
  const lines = nodes.flatMap(({ words, commands, options, kind }) => {
    const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    const without = `not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(' ')}`;
    const condition = words.length === 0 ? '__fish_use_subcommand' : `${seen}; and ${without}`;
    return [
      ...commands.map(({ name, about }) => `complete -c farm -f -n '${condition}' -a ${name} -d ${quoted(about)}`),
      ...(kind ? [`complete -c farm -f -n '${seen}' -a ${asks(kind)}`] : []),
      ...options.map((option) => {
        const short = option.ways.filter((way) => /^-[a-z]$/i.test(way)).map((way) => ` -s ${way.slice(1)}`);
        const choices = option.choices.length > 0 ? ` -x -a '${option.choices.join(' ')}'` : '';
        const values = option.kind ? ` -x -a ${asks(option.kind)}` : choices;
        const name = `-l ${option.name.replace(/^-+/, '')}${short.join('')}`;
        return `complete -c farm -n '${seen || '__fish_use_subcommand'}' ${name}${values} -d ${quoted(option.about)}`;
      }),
    ];
  });
  return `# Completion of farm: farm completion fish | source\n${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
