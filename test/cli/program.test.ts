import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { completionScript } from '../../cli/completion.ts';
import { label, namesOf, time } from '../../cli/options.ts';
import { buildProgram } from '../../cli/program.ts';
import { RENDER_EVENTS } from '../../shared/renders/events.ts';

const run = promisify(execFile);
const program = buildProgram();
const docs = readFileSync(fileURLToPath(new URL('../../docs/cli.md', import.meta.url)), 'utf8');

describe('docs/cli.md', () => {
  it('has every command, and no other', () => {
    const section = (command: string) => new RegExp(`^## \`farm ${command}[ \`]`, 'm').test(docs);
    const names = program.commands.map((command) => command.name());
    assert.deepEqual(
      names.filter((name) => !section(name) && !docs.includes(`| [\`${name}\``)),
      [],
    );
    const described = [...docs.matchAll(/^## `farm ([a-z]+)/gm)].map(([, name]) => name);
    assert.deepEqual(
      described.filter((name) => !names.includes(name ?? '')),
      [],
    );
    const nested = program.commands.flatMap((command) => command.commands.map((child) => [command, child] as const));
    const missing = nested.filter(([parent, child]) => !docs.includes(`farm ${parent.name()} ${child.name()}`));
    assert.deepEqual(missing, []);
  });

  it('has what each command prints for programs, which only the scripts for shells do without', () => {
    const leaves = program.commands.flatMap((command) => [
      ...(command.commands.length === 0 || command.name() === 'models' ? [[command.name(), command] as const] : []),
      ...command.commands.map((child) => [`${command.name()} ${child.name()}`, child] as const),
    ]);
    assert.ok(leaves.length > 20);
    const speaks = (command: Command) => command.options.some(({ long }) => long === '--json');
    assert.deepEqual(
      leaves.flatMap(([name, command]) => (speaks(command) ? [] : [name])),
      ['completion'],
    );
    const section = docs.split('\n## JSON for programs\n')[1]?.split('\n## ')[0] ?? '';
    const described = [...section.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([a-z ]+)/g)].map(([, name = '']) => name.trim()),
    );
    const missing = leaves.flatMap(([name]) => (name === 'completion' || described.includes(name) ? [] : [name]));
    assert.deepEqual(missing, []);
  });

  it('has every option of the commands about renders', () => {
    const of = (command: Command) => command.options.flatMap(({ long }) => (long ? [long] : []));
    const common = ['--url', '--api-key', '--config', '--json'];
    for (const name of ['render', 'live', 'ls']) {
      const command = program.commands.find((candidate) => candidate.name() === name);
      assert.ok(command);
      const text = docs.split(`\n## \`farm ${name}\`\n`)[1]?.split('\n## ')[0] ?? '';
      assert.deepEqual(
        of(command).filter((option) => !common.includes(option) && !text.includes(option)),
        [],
      );
    }
  });
});

describe('completion', () => {
  /** What bash offers for a line whose last word is being written. */
  async function offered(...words: string[]): Promise<string[]> {
    const script = `${completionScript(program, 'bash')}
COMP_WORDS=(farm "$@"); COMP_CWORD=$#; _farm; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run('bash', ['-c', script, 'bash', ...words]);
    return stdout.split('\n').filter((line) => line !== '');
  }

  it('offers commands, commands of commands, options and their choices', async () => {
    const [commands, nested, options, choices, values] = await Promise.all([
      offered('re'),
      offered('models', ''),
      offered('render', 'voice.wav', '--out'),
      offered('render', '--priority', ''),
      offered('ls', '--status', 'c'),
    ]);
    assert.deepEqual(commands, ['render', 'retry']);
    assert.deepEqual(nested.slice(0, 2), ['load', 'unload']);
    assert.deepEqual(options, ['--out', '--out-dir', '--output']);
    assert.deepEqual(choices, ['low', 'normal', 'high']);
    assert.deepEqual(values, ['completed', 'cancelled']);
  });

  it('has the same words for the other shells', () => {
    const zsh = completionScript(program, 'zsh');
    assert.ok(zsh.endsWith(completionScript(program, 'bash')));
    // It is $PATH there, and no program is found without.
    assert.doesNotMatch(zsh, /\bpath=/);
    const fish = completionScript(program, 'fish');
    assert.match(fish, /^complete -c farm -f -n '__fish_use_subcommand' -a render -d '/m);
    assert.match(fish, /-l priority -x -a 'low normal high' -d/);
    assert.match(fish, /__fish_seen_subcommand_from gpu; and not .*-a drain/);
  });
});

describe('words on the command line', () => {
  it('are labels and times, or refused with an example', () => {
    assert.deepEqual(label('b=c=d', { a: '1' }), { a: '1', b: 'c=d' });
    for (const wrong of ['a', '=a', 'a=', 'a b=c']) assert.throws(() => label(wrong), /project=spring/);
    assert.equal(time('2026-11-23T10:00:00Z').toISOString(), '2026-11-23T10:00:00.000Z');
    assert.ok(Math.abs(time('2h').getTime() - (Date.now() - 7_200_000)) < 60_000);
    assert.deepEqual(namesOf(RENDER_EVENTS, 'render.')('failed,render.queued'), ['render.failed', 'render.queued']);
    assert.throws(() => namesOf(RENDER_EVENTS, 'render.')('done'), /queued, running/);
    for (const wrong of ['2w', 'yesterday', '']) assert.throws(() => time(wrong), /30m/);
  });
});
