import { type Command, Option } from 'commander';
import { BACKGROUND_MODES } from '../shared/background-mode.ts';
import { RENDER_EVENTS, WEBHOOK_EVENTS } from '../shared/renders/events.ts';
import { SYNC_MODES } from '../shared/renders/footage.ts';
import { OUTPUTS } from '../shared/renders/outputs.ts';
import { RENDER_PRIORITIES, RENDER_STATUSES } from '../shared/renders/record.ts';
import { bench } from './bench.ts';
import { type EstimateCommandOptions, estimate } from './estimate.ts';
import { live } from './live.ts';
import { frameRate, label, namesOf, positiveNumber, speaksJson, speaksToFarm, time, wholeNumber } from './options.ts';
import { render } from './render/render.ts';
import { renderMany } from './render/render-many.ts';
import type { RenderCommandOptions } from './render/request.ts';
import { cancelRender, listRenders, removeRenders, retryRender, showRender, watch } from './renders.ts';

/** Of the names of events about renders. */
const PREFIX = 'render.';
const PATIENCE_S = 120;
const AT_ONCE = 4;
const FPS_HELP = 'frames a second: 20 or 25 (default: as the model says)';
const LIST_LENGTH = 20;
const BENCH = { seconds: 10, renders: 3 };

/** Commands that make renders, and those about renders that are there. */
export function addRenderCommands(program: Command): void {
  addRender(program);
  addEstimate(program);
  addList(program);
  speaksJson(speaksToFarm(program.command('live <audio>')))
    .description('stream a sound to the farm and take the frames as they come; "-" is standard input')
    .option('-m, --model <id>', 'model id (not needed when the farm has only one)')
    .option('-o, --out <folder>', 'where the frames go, as JPEG files (default: frames)')
    .option('--mjpeg', 'write the frames to standard output, one JPEG after the other')
    .option('--raw', 'write them to standard output as RGB, 3 bytes a pixel')
    .option('--fps <n>', FPS_HELP, frameRate)
    .option('--low', 'let frames wait for less of the sound ahead of them')
    .action(live);
  speaksJson(speaksToFarm(program.command('show <id>')))
    .description('all that is known of one render: state, sound, speed, quality, links')
    .action(showRender);
  speaksJson(speaksToFarm(program.command('watch [id]')), 'print one line of JSON for each event')
    .description('progress of a render until it has ended; without an id what happens on the farm')
    .option('-m, --model <id>', 'without an id: only renders made with this model')
    .addOption(
      new Option('-s, --status <status>', 'without an id: only renders that come to it').choices(RENDER_STATUSES),
    )
    .option('-t, --types <names>', 'without an id: only these events: completed,failed', namesOf(RENDER_EVENTS, PREFIX))
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
  const command = speaksJson(
    speaksToFarm(program.command('render [audio...]')),
    'print one line of JSON for each event',
  )
    .description('submit audio files, or addresses of them, to a running farm and fetch the results; Ctrl-C cancels')
    .option(
      '-o, --out <file>',
      'where the result goes (default: the name of the audio file, .mp4, in this folder); .webm makes WebM',
    )
    .option('-d, --out-dir <folder>', 'where the results of several files go (default: this folder)')
    .option('-f, --force', 'replace what is there')
    .option('-r, --resume <id>', 'instead of submitting: watch a render of this id and fetch its result')
    .option('-p, --patience <seconds>', 'how long to try again while the farm does not answer', wholeNumber, PATIENCE_S)
    .option('--parallel <n>', 'of several files: how many at the same time', positiveNumber, AT_ONCE);
  addRequestOptions(command).action((audio: string[], options: RenderCommandOptions) => {
    const { out, outDir, resume, idempotencyKey } = options;
    if ((audio.length === 0) === (resume === undefined)) {
      command.error('error: farm render takes either an audio file or --resume ID');
    }
    if (out !== undefined && outDir !== undefined) command.error('error: give either --out or --out-dir');
    if (out !== undefined && audio.length > 1) command.error('error: --out names one file; give --out-dir for several');
    if (idempotencyKey !== undefined && audio.length !== 1) {
      command.error('error: --idempotency-key is for one audio file');
    }
    const fault = faultOfVideo(audio, options);
    if (fault !== undefined) command.error(`error: ${fault}`);
    return audio.length > 1 || outDir !== undefined ? renderMany(audio, options) : render(audio[0], options);
  });
}

/** What does not go together in the options about a video. */
function faultOfVideo(
  audio: readonly string[],
  { video, landmarks, syncMode, outDir }: RenderCommandOptions,
): string | undefined {
  if ((video === undefined) !== (landmarks === undefined)) return '--video and --landmarks go together';
  if (video === undefined) return syncMode === undefined ? undefined : '--sync-mode is for --video';
  return audio.length > 1 || outDir !== undefined
    ? '--video is for one audio file, whose result --out names'
    : undefined;
}

/** What the farm is asked for. */
function addRequestOptions(command: Command): Command {
  return addLengthOptions(command)
    .addOption(
      new Option('--output <form>', 'a video, or a folder of one JPEG or PNG a frame; webm and PNG keep alpha').choices(
        OUTPUTS,
      ),
    )
    .option('--jpeg-quality <n>', 'of frames, 1 to 100', positiveNumber)
    .option('--start-frame <n>', "where in the avatar's pictures the render begins, from 0", wholeNumber)
    .addOption(new Option('--background <mode>', 'how the pictures are walked over').choices(BACKGROUND_MODES))
    .option('--no-cache', 'render every frame, whatever is kept of earlier renders')
    .addOption(new Option('--silence-gate <state>', 'whether the mouth is closed in silence').choices(['on', 'off']))
    .option('--from-neutral', 'end with the picture that it begins with: the walk turns back in the middle')
    .option('-l, --label <key=value>', 'note something about the render, to find it again by; may be repeated', label)
    .addOption(new Option('--priority <priority>', 'who gets his turn first').choices(RENDER_PRIORITIES))
    .option('--webhook <url>', 'where the farm tells the end of the render (default: as it is configured)')
    .option(
      '--webhook-events <names>',
      'what is told there, such as running,completed',
      namesOf(WEBHOOK_EVENTS, PREFIX),
    )
    .option('--idempotency-key <key>', 'of one file: the same key with the same request is the same render, for a day');
}

/** What says how many frames there are, and of which model. */
function addLengthOptions(command: Command): Command {
  return command
    .option('-m, --model <id>', 'model id (not needed when the farm has only one)')
    .option('--video <file>', "a video of the person, to show in place of the avatar's pictures")
    .option('--landmarks <place>', 'of the video: its crop rects (.json), or its landmarks (a folder of .lms files)')
    .addOption(new Option('--sync-mode <mode>', 'of the video: where it is shorter or longer').choices(SYNC_MODES))
    .option('--lead <ms>', 'silence to put before the sound, 60000 at most', wholeNumber)
    .option('--tail <ms>', 'silence to put after the sound, 60000 at most', wholeNumber)
    .option('--fps <n>', FPS_HELP, frameRate)
    .option('--from <frame>', 'first frame to make, so many a second', wholeNumber)
    .option('--to <frame>', 'frame before which to end', positiveNumber);
}

function addEstimate(program: Command): void {
  const command = speaksJson(speaksToFarm(program.command('estimate [audio]')))
    .description('what a render would cost: frames, GPU seconds, how long it waits; no sound is sent')
    .option('-s, --seconds <n>', 'instead of a file: how long the sound is', positiveNumber);
  addLengthOptions(command).action((audio: string | undefined, options: EstimateCommandOptions) => {
    if ((audio === undefined) === (options.seconds === undefined)) {
      command.error('error: farm estimate takes either an audio file or --seconds');
    }
    return estimate(audio, options);
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
