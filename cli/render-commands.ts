import { type Command, Option } from 'commander';
import { RENDER_PRIORITIES, RENDER_STATUSES } from '../shared/renders/record.ts';
import { bench } from './bench.ts';
import { live } from './live.ts';
import { label, positiveNumber, speaksJson, speaksToFarm, time, wholeNumber } from './options.ts';
import { type RenderCommandOptions, render } from './render.ts';
import { renderMany } from './render-many.ts';
import { cancelRender, listRenders, removeRenders, retryRender, showRender, watch } from './renders.ts';

const PATIENCE_SECONDS = 120;
const AT_ONCE = 4;
const LIST_LENGTH = 20;
const BENCH = { seconds: 10, renders: 3 };

/** Commands that make renders, and those about renders that are there. */
export function addRenderCommands(program: Command): void {
  addRender(program);
  addList(program);
  speaksJson(speaksToFarm(program.command('live <audio>')))
    .description('stream a sound to the farm and take the frames as they come; "-" is standard input')
    .option('-m, --model <id>', 'model id (not needed when the farm has only one)')
    .option('-o, --out <folder>', 'where the frames go, as JPEG files (default: frames)')
    .option('--mjpeg', 'write the frames to standard output, one JPEG after the other')
    .option('--raw', 'write them to standard output as RGB, 3 bytes a pixel')
    .option('--low', 'let frames wait for less of the sound ahead of them')
    .action(live);
  speaksJson(speaksToFarm(program.command('show <id>')))
    .description('all that is known of one render: state, sound, speed, quality, links')
    .action(showRender);
  speaksJson(speaksToFarm(program.command('watch [id]')), 'print one line of JSON for each event')
    .description('progress of a render until it has ended; without an id what happens on the farm')
    .action(watch);
  speaksJson(speaksToFarm(program.command('retry <id>')))
    .description('take a failed render up again: only what is missing is made')
    .action(retryRender);
  speaksJson(speaksToFarm(program.command('cancel <id>')))
    .description('cancel a render that is not finished')
    .action(cancelRender);
  speaksJson(speaksToFarm(program.command('rm <ids...>')))
    .description('remove renders that have ended, with their files')
    .action(removeRenders);
  addBench(program);
}

function addRender(program: Command): void {
  speaksJson(speaksToFarm(program.command('render [audio...]')), 'print one line of JSON for each event')
    .description('submit audio files to a running farm and fetch the videos; Ctrl-C cancels the renders')
    .option('-m, --model <id>', 'model id (not needed when the farm has only one)')
    .option('-o, --out <file>', 'where the video goes (default: the name of the audio file, .mp4, in this folder)')
    .option('-d, --out-dir <folder>', 'where the videos of several files go (default: this folder)')
    .option('-f, --force', 'replace videos that are there')
    .option('-l, --label <key=value>', 'note something about the render, to find it again by; may be repeated', label)
    .addOption(new Option('--priority <priority>', 'who gets his turn first').choices(RENDER_PRIORITIES))
    .option('--from <frame>', 'first frame to make, 25 a second', wholeNumber)
    .option('--to <frame>', 'frame before which to end', positiveNumber)
    .option('-r, --resume <id>', 'instead of submitting: watch a render of this id and fetch its video')
    .option(
      '-p, --patience <seconds>',
      'how long to try again while the farm does not answer',
      wholeNumber,
      PATIENCE_SECONDS,
    )
    .option('--parallel <n>', 'of several files: how many at the same time', positiveNumber, AT_ONCE)
    .action((audio: string[], options: RenderCommandOptions, command: Command) => {
      const { out, outDir, resume } = options;
      if ((audio.length === 0) === (resume === undefined)) {
        command.error('error: farm render takes either an audio file or --resume ID');
      }
      if (out !== undefined && outDir !== undefined) command.error('error: give either --out or --out-dir');
      if (out !== undefined && audio.length > 1)
        command.error('error: --out names one file; give --out-dir for several');
      return audio.length > 1 || outDir !== undefined ? renderMany(audio, options) : render(audio[0], options);
    });
}

function addBench(program: Command): void {
  speaksJson(speaksToFarm(program.command('bench')))
    .description('measure how fast a running farm renders: some sounds one by one, then all at once')
    .option('-m, --model <id>', 'model id (not needed when the farm has only one)')
    .option('-s, --seconds <n>', 'of sound in each render', positiveNumber, BENCH.seconds)
    .option('-n, --renders <n>', 'how many', positiveNumber, BENCH.renders)
    .action(bench);
}

function addList(program: Command): void {
  speaksJson(speaksToFarm(program.command('ls')))
    .description('renders of the farm, newest first')
    .addOption(new Option('-s, --status <status>', 'only those with this status').choices(RENDER_STATUSES))
    .option('-m, --model <id>', 'only those made with this model')
    .option('-l, --label <key=value>', 'only those with this label; may be repeated', label)
    .option('--search <words>', 'only those with all of these words in id, file name, model and labels')
    .option('--since <time>', 'only those made since: a date, a time, or how long ago: 30m, 2h, 7d', time)
    .option('--until <time>', 'only those made before', time)
    .option('-n, --limit <n>', 'how many', positiveNumber, LIST_LENGTH)
    .action(listRenders);
}
