import type { FollowedEvent } from '../client/events.ts';
import type { NodeFarmClient } from '../client/node/farm-client.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { EVENTS_MISSED, type RenderEventName } from '../shared/renders/events.ts';
import { isVideo } from '../shared/renders/outputs.ts';
import { isTerminal, type RenderStatus } from '../shared/renders/record.ts';
import { NO_FINDING, qualityLines } from '../shared/views/quality-words.ts';
import type { Receipt, RenderView } from '../shared/views/render-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJson, printJsonLine } from './json-output.ts';
import type { JsonOption } from './options.ts';
import { JsonProgress, ProgressDisplay } from './progress.ts';
import { sizeOf } from './sizes.ts';
import { table } from './table.ts';

/** Commands about renders that are there. */

export interface ListOptions extends FarmOptions, JsonOption {
  readonly status?: RenderStatus;
  readonly model?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly search?: string;
  readonly since?: Date;
  readonly until?: Date;
  readonly limit: number;
}

/** `farm ls`: a line a render, newest first. */
export async function listRenders(options: ListOptions): Promise<void> {
  const { status, model, label, search, since, until, limit } = options;
  const filter = {
    ...(status ? { status } : {}),
    ...(model ? { modelId: model } : {}),
    ...(label ? { labels: label } : {}),
    ...(search ? { search } : {}),
    ...(since ? { createdFrom: since } : {}),
    ...(until ? { createdTo: until } : {}),
  };
  const renders: RenderView[] = [];
  let isMore = false;
  for await (const view of openFarm(options).renders(filter, Math.min(limit, 100))) {
    isMore = renders.length === limit;
    if (isMore) break;
    renders.push(view);
  }
  if (options.json) return printJson({ renders, more: isMore });
  if (renders.length === 0) {
    const none =
      Object.keys(filter).length > 0 ? 'No render is like that.' : 'There are no renders yet: farm render AUDIO';
    process.stdout.write(`${none}\n`);
    return;
  }
  const more = isMore
    ? `\nThere are more: raise --limit, or narrow it with --status, --model, --label, --search or --since.\n`
    : '';
  process.stdout.write(`${table([HEAD, ...renders.map(rowOf)])}\n${more}`);
}

const HEAD = ['ID', 'STATUS', 'MODEL', 'FRAMES', 'CREATED', 'FILE', 'LABELS'];

function rowOf({ id, status, model_id, frames, created_at, file_name, labels, error }: RenderView): string[] {
  const count = frames.total === null || status === 'completed' ? frames.done : `${frames.done}/${frames.total}`;
  const more = [...labelTexts(labels), ...(error ? [`(${error.code})`] : [])].join(' ');
  return [id, status, model_id, String(count), localTime(created_at), file_name, more];
}

function labelTexts(labels: RenderView['labels']): string[] {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`);
}

/** "2026-11-23 01:54:36", as the clock of this machine shows it. */
function localTime(iso: string): string {
  const at = new Date(iso);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `farm show ID`: all that is known of one render. */
export async function showRender(renderId: string, options: FarmOptions & JsonOption): Promise<void> {
  const client = openFarm(options);
  const render = await client.get(renderId);
  const receipt = render.status === 'completed' ? await client.receipt(renderId) : null;
  if (options.json) return printJson({ render, receipt });
  const rows = [...factsOf(render), ...(receipt ? factsOfResult(receipt) : []), ...linksOf(render, client.url)];
  const lines = rows.flatMap(([name, text]) => (text === '' ? [] : [`${name.padEnd(15)}${text}`]));
  const { error } = render;
  if (error) lines.push('', `${error.code}: ${error.message}`, `  what to do: ${error.remedy}`);
  process.stdout.write(`${lines.join('\n')}\n${nextStep(render)}`);
}

type Fact = readonly [name: string, text: string];

function factsOf(view: RenderView): Fact[] {
  const { frames, range, timings_ms, waiting } = view;
  const took = timings_ms.total === null ? '' : `${(timings_ms.total / 1000).toFixed(1)} s`;
  return [
    ['render', view.id],
    ['status', view.status],
    ['waits for', waiting ? `${waiting.code}: ${waiting.message} ${waiting.remedy}` : ''],
    ['model', view.model_id],
    ['sound', `${view.file_name}${view.audio_seconds === null ? '' : `, ${view.audio_seconds.toFixed(2)} s`}`],
    [
      'frames',
      `${frames.done} of ${frames.total ?? '?'}${range ? `, from ${range.from} to ${range.to ?? 'the end'}` : ''}`,
    ],
    ['speed', view.frames_per_second === null ? '' : `${view.frames_per_second.toFixed(1)} frames/s`],
    ['priority', view.priority],
    ['labels', labelTexts(view.labels).join(' ')],
    ['owner', view.owner ?? ''],
    ['created', localTime(view.created_at)],
    ['took', took],
  ];
}

function factsOfResult({ video, width, height, audio, quality }: Receipt): Fact[] {
  const speech = audio.speaking_seconds === null ? '' : `${audio.speaking_seconds.toFixed(1)} s`;
  const [first = '', ...others] = quality ? qualityLines(quality) : [];
  return [
    ['picture', `${width}×${height}${video ? `, ${sizeOf(video.bytes)}` : ', one JPEG a frame'}`],
    ['speech', speech],
    ['quality', first],
    ...others.map((line): Fact => ['', line]),
    ['', first === '' || first === NO_FINDING ? '' : 'docs/quality.md says what to do'],
  ];
}

function linksOf({ links }: RenderView, url: string): Fact[] {
  const shown = ['video', 'frames', 'contact_sheet', 'waveform', 'waterfall'] as const;
  return shown.map((name) => [name.replace('_', ' '), links[name] ? `${url}${links[name]}` : '']);
}

function nextStep({ id, status, output, error }: RenderView): string {
  // What is wrong with the sound is wrong the next time, too.
  if (error && FarmError.fromReport(error).httpStatus < 500) return '';
  if (status === 'failed') return `\nfarm retry ${id} takes it up again where it was.\n`;
  if (!isTerminal(status)) return `\nfarm watch ${id} shows its progress, farm cancel ${id} ends it.\n`;
  return status === 'completed'
    ? `\nfarm render --resume ${id} fetches its ${isVideo(output) ? 'video' : 'frames'}.\n`
    : '';
}

export interface WatchOptions extends FarmOptions, JsonOption {
  readonly model?: string;
  readonly status?: RenderStatus;
  readonly types?: readonly RenderEventName[];
}

/** `farm watch ID`: progress of a render until it has ended. `farm watch`: what happens on the farm, until Ctrl-C. */
export async function watch(renderId: string | undefined, options: WatchOptions): Promise<void> {
  const client = openFarm(options);
  await client.greet();
  if (renderId === undefined) return await watchAll(client, options);
  const progress = options.json ? new JsonProgress() : new ProgressDisplay();
  const last = await progress.show(client.watch(renderId));
  if (last.error) throw FarmError.fromReport(last.error);
  if (last.status === 'cancelled') throw new FarmError('render_cancelled', `Render ${renderId} was cancelled`);
}

async function watchAll(client: NodeFarmClient, { json, model, status, types }: WatchOptions): Promise<void> {
  const filter = { ...(model ? { modelId: model } : {}), ...(status ? { status } : {}), ...(types ? { types } : {}) };
  if (!json) process.stderr.write(`Renders of ${client.url}, as things happen; Ctrl-C ends this.\n`);
  for await (const event of client.events(filter)) {
    if (json) printJsonLine(event);
    else process.stdout.write(`${eventLine(event)}\n`);
  }
}

function eventLine(event: FollowedEvent): string {
  if (event.type === EVENTS_MISSED) return 'some events are gone; farm ls shows how the renders stand';
  const { id, model_id, frames, error, labels } = event.data;
  const count = frames.total === null ? '' : `${frames.done}/${frames.total} frames`;
  const parts = [count, error ? `${error.code}: ${error.message}` : '', ...labelTexts(labels)];
  const rest = parts.filter((part) => part !== '').join('  ');
  return `${localTime(event.timestamp)}  ${id}  ${event.type.replace('render.', '').padEnd(9)}  ${model_id}  ${rest}`.trimEnd();
}

/** `farm rm ID …`: removes renders that have ended, records and files. */
export async function removeRenders(renderIds: readonly string[], options: FarmOptions & JsonOption): Promise<void> {
  const client = openFarm(options);
  for (const id of renderIds) {
    const { status } = await client.get(id);
    if (!isTerminal(status)) {
      throw new FarmError('render_not_finished', `Render ${id} is ${status}; farm cancel ${id} ends it first`);
    }
    await client.remove(id);
    if (!options.json) process.stdout.write(`Render ${id} is removed.\n`);
  }
  if (options.json) printJson({ removed: renderIds });
}

/** `farm retry ID`: takes a failed render up again where it was. */
export async function retryRender(renderId: string, options: FarmOptions & JsonOption): Promise<void> {
  const render = await openFarm(options).retry(renderId);
  if (options.json) return printJson({ render });
  const next = render.status === 'completed' ? 'fetches its video' : 'watches it and fetches its video';
  process.stdout.write(`Render ${renderId} is ${render.status}; farm render --resume ${renderId} ${next}.\n`);
}

/** `farm cancel ID`: ends a render that is not finished; a finished one stays. */
export async function cancelRender(renderId: string, options: FarmOptions & JsonOption): Promise<void> {
  const client = openFarm(options);
  const said = await cancelIfRunning(client, renderId);
  if (options.json) return printJson({ render: await client.get(renderId) });
  process.stdout.write(`${said}\n`);
}

/** Cancels the render, and says in a sentence whether it had ended before. */
export async function cancelIfRunning(client: NodeFarmClient, renderId: string): Promise<string> {
  const before = await client.get(renderId);
  const { status } = isTerminal(before.status) ? before : await client.cancel(renderId);
  return isTerminal(before.status) || status !== 'cancelled'
    ? `Render ${renderId} had ended before: it is ${status}.`
    : `Render ${renderId} is cancelled.`;
}
