import type { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { logged } from '../../shared/process/unheard.ts';
import { afterwards, untilKnown } from '../../shared/redis/outcome.ts';
import { type Preview, readPreview } from '../../shared/renders/preview.ts';
import { unknownRender } from '../../shared/renders/reader.ts';
import { isTerminal, type RenderRecord } from '../../shared/renders/record.ts';
import type { ListFilter } from '../../shared/renders/render-list.ts';
import { newWriter, type RenderStore } from '../../shared/renders/store.ts';
import { readableOnly } from '../../shared/renders/unreadable.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { type Caller, maySee, seesAll } from '../access/caller.ts';
import type { EventHub } from '../events/event-hub.ts';
import { RenderChanges } from '../events/render-changes.ts';
import type { AuditLog } from '../logs/audit-log.ts';
import { readCursor, toCursor } from './cursor.ts';
import {
  dispositionOf,
  frameOf,
  type PictureName,
  pictureOf,
  type RenderFileName,
  receiptOf,
  unfinished,
  videoOf,
} from './files.ts';
import { SharedLooks } from './shared-looks.ts';
import type { LocateVideo } from './video-previews.ts';
import { readView, viewRender } from './view.ts';

/** A file of a render, to be sent whole or in part. */
export interface RenderFile extends RenderFileName {
  /** Has it on this machine, for programs of others. */
  readonly onDisk: LocateVideo;
  readonly sizeBytes: number;
  /** Bytes [start, end], both inclusive. */
  read(range?: { start: number; end: number }): Readable;
  /** An address in the store itself, where clients are to be sent there; else undefined. FarmError of the store. */
  address(): Promise<string | undefined>;
}

/** How a render stands, and its latest picture if that was asked for and there is one. */
export interface RenderState {
  readonly view: RenderView;
  readonly preview: Preview | undefined;
}

/** How often a render is looked at whose pictures are watched: no event tells of these. */
const LOOK_FOR_PICTURE_EVERY_MS = 250;
/** The same without pictures: that work waits for the farm to be mended is no event, and workers of an earlier version write none. */
const LOOK_EVERY_MS = 2000;
/** How old what a watcher sees may be, so that all who watch a render share its looks. */
const SHARED_FOR_MS = 200;
/** A picture is written beside the progress that it shows: it is there so soon after it. */
const PICTURE_FOLLOWS_WITHIN_MS = 1000;

/** What is asked of the list. */
export interface ListQuery extends Omit<ListFilter, 'owner'> {
  readonly limit: number;
  /** The cursor that came as `next` with the page before, or the id of a render. */
  readonly before: string | undefined;
}

export interface RenderServiceTools {
  readonly store: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly audit: AuditLog;
  readonly hub: EventHub;
  /** Whether clients are sent to the store for files, where that gives out addresses. */
  readonly redirects: boolean;
}

/**
 * Renders that were taken, without a transport: HTTP and gRPC translate what they are asked for into these calls. New
 * ones come in by submission.ts.
 */
export class RenderService {
  readonly #tools: RenderServiceTools;
  readonly #looks: SharedLooks<{ readonly owner: string | undefined; readonly view: RenderView }>;
  readonly #previews: SharedLooks<Preview | undefined>;

  constructor(tools: RenderServiceTools) {
    this.#tools = tools;
    const look = async (renderId: string) => {
      const { record, view } = await readView(renderId, tools.store);
      return { owner: record.owner, view };
    };
    this.#looks = new SharedLooks(look, SHARED_FOR_MS);
    this.#previews = new SharedLooks((renderId) => this.#preview(renderId), SHARED_FOR_MS);
  }

  /** How a render stands. FarmError('render_unknown'). */
  async get(renderId: string, caller: Caller): Promise<RenderView> {
    const { record, view } = await readView(renderId, this.#tools.store);
    if (!maySee(caller, record.owner)) throw unknownRender(renderId);
    return view;
  }

  /** A page of renders, newest first. FarmError('render_unknown') for a page behind a render that is not there. */
  async list(
    { limit, before, ...filter }: ListQuery,
    caller: Caller,
  ): Promise<{ renders: RenderView[]; next: string | null }> {
    const after = before === undefined ? undefined : (readCursor(before) ?? (await this.#record(before, caller)));
    const owner = seesAll(caller) ? undefined : (caller.keyName ?? '');
    const { records, next } = await this.#tools.store.list(limit, after, { ...filter, owner });
    const views = await Promise.all(records.map((record) => readableOnly(this.#view(record))));
    return { renders: views.filter((view) => view !== undefined), next: next ? toCursor(next) : null };
  }

  /**
   * How a render stands, now and whenever an event tells that this has changed; the last state is the one in which it ended. Speed, times
   * and time left, which change all the time, do not count. FarmError('render_unknown').
   */
  async *watch(
    renderId: string,
    watching: { preview: boolean; caller: Caller },
    signal: AbortSignal,
  ): AsyncGenerator<RenderState> {
    const left = new AbortController();
    try {
      yield* this.#watch(renderId, watching, AbortSignal.any([left.signal, signal]));
    } finally {
      left.abort();
    }
  }

  async *#watch(
    renderId: string,
    { preview, caller }: { preview: boolean; caller: Caller },
    signal: AbortSignal,
  ): AsyncGenerator<RenderState> {
    const changes = await RenderChanges.of(renderId, this.#tools.hub, signal);
    let last: unknown;
    let picture: Preview | undefined;
    const progress = { framesDone: -1, atMs: 0 };
    for (;;) {
      const { owner, view } = await this.#looks.at(renderId, changes.changedAtMs);
      if (!maySee(caller, owner)) throw unknownRender(renderId);
      if (view.frames.done !== progress.framesDone)
        Object.assign(progress, { framesDone: view.frames.done, atMs: performance.now() });
      if (preview && performance.now() - progress.atMs < PICTURE_FOLLOWS_WITHIN_MS)
        picture = (await this.#previews.at(renderId)) ?? picture;
      const state = { view, preview: picture };
      const { frames_per_second: _, eta_seconds: __, timings_ms: ___, ...lasting } = view;
      if (!isDeepStrictEqual([lasting, state.preview], last)) yield state;
      last = [lasting, state.preview];
      if (isTerminal(view.status)) return;
      await changes.next(preview ? LOOK_FOR_PICTURE_EVERY_MS : LOOK_EVERY_MS, signal);
    }
  }

  /**
   * Cancels a render; one that has ended stays as it is, with its result. Returns how it stands then.
   * FarmError: render_unknown, outcome_unknown.
   */
  async cancel(renderId: string, caller: Caller): Promise<RenderView> {
    const { audit } = this.#tools;
    return await audit.noting('render.cancel', { render: renderId }, () => this.#cancel(renderId, caller));
  }

  async #cancel(renderId: string, caller: Caller): Promise<RenderView> {
    const { store, artifacts } = this.#tools;
    await this.#record(renderId, caller);
    const writer = newWriter();
    const what = `Render ${renderId} was to be cancelled`;
    const cancelled = await untilKnown(what, () => store.cancel(renderId, writer));
    const stay = logged('could not remove the files of a cancelled render; they go after retention.orphan_hours');
    if (cancelled) await artifacts.remove(artifactKeys.folder(renderId)).catch(stay);
    return await afterwards(what, () => this.get(renderId, caller));
  }

  /**
   * Removes a render that has ended, record and files. An unfinished one is cancelled instead, and returned as it stands
   * then: should it have ended by itself in between, it stays, with its result. FarmError: outcome_unknown,
   * render_unknown, after which no files of it are left either.
   */
  async remove(renderId: string, caller: Caller): Promise<RenderView | undefined> {
    const { audit } = this.#tools;
    return await audit.noting('render.remove', { render: renderId }, () => this.#remove(renderId, caller));
  }

  async #remove(renderId: string, caller: Caller): Promise<RenderView | undefined> {
    const { store, artifacts } = this.#tools;
    // Whoever sees all renders may remove what is left of one that has no record any more.
    if (!seesAll(caller)) await this.#record(renderId, caller);
    const writer = newWriter();
    // Should this process end before the files are gone, retention takes them for no result whose record was lost.
    const unmarked = logged('could not mark a render that is removed; what this leaves behind may stay');
    await artifacts.put(artifactKeys.unwanted(renderId), '').catch(unmarked);
    const status = await untilKnown(`Render ${renderId} was to be removed`, () => store.remove(renderId, writer));
    if (status && !isTerminal(status)) return await this.cancel(renderId, caller);
    await artifacts.remove(artifactKeys.folder(renderId));
    if (!status) throw unknownRender(renderId);
    return undefined;
  }

  /** FarmError: render_unknown, output_not_kept, render_not_finished, render_failed, render_cancelled, storage_failed. */
  async video(renderId: string, caller: Caller): Promise<RenderFile> {
    return await this.#present(videoOf(await this.#record(renderId, caller)));
  }

  /** FarmError: render_unknown, render_not_finished, render_failed, render_cancelled, storage_failed. */
  async receipt(renderId: string, caller: Caller): Promise<RenderFile> {
    return await this.#present(receiptOf(await this.#record(renderId, caller)));
  }

  /**
   * A picture that was made of a finished render. FarmError: render_unknown, render_not_finished, render_failed,
   * render_cancelled, picture_unknown.
   */
  async picture(renderId: string, name: PictureName, caller: Caller): Promise<RenderFile> {
    const picture = await this.#find(pictureOf(await this.#record(renderId, caller), name));
    if (!picture) throw new FarmError('picture_unknown', `No ${name} was made of render ${renderId}`);
    return picture;
  }

  /** FarmError: those of the video, and frame_unknown. */
  async frame(renderId: string, frameIndex: number, caller: Caller): Promise<RenderFile> {
    const record = await this.#record(renderId, caller);
    const frame = await this.#find(frameOf(record, frameIndex));
    if (!frame) throw unfinished(record, `Frame ${frameIndex}`);
    return frame;
  }

  /** The latest picture of a render, as JPEG. FarmError: render_unknown, preview_unknown. */
  async preview(renderId: string, caller: Caller): Promise<Buffer> {
    const { status } = await this.#record(renderId, caller);
    const preview = await this.#preview(renderId);
    if (!preview) throw new FarmError('preview_unknown', `Render ${renderId} has no recent picture; it is ${status}`);
    return preview.jpeg;
  }

  async #preview(renderId: string): Promise<Preview | undefined> {
    const { artifacts, store } = this.#tools;
    const preview = await readPreview(artifacts, renderId);
    if (preview) return preview;
    const jpeg = await store.segments.oldPreview(renderId);
    return jpeg && { jpeg, frameIndex: undefined };
  }

  /** The record, or FarmError('render_unknown') also when it is there and none of the caller's. */
  async #record(renderId: string, caller: Caller): Promise<RenderRecord> {
    const record = await this.#tools.store.get(renderId);
    if (!maySee(caller, record.owner)) throw unknownRender(renderId);
    return record;
  }

  async #view(record: RenderRecord): Promise<RenderView> {
    return await viewRender(record, this.#tools.store);
  }

  async #present(name: RenderFileName): Promise<RenderFile> {
    const file = await this.#find(name);
    if (!file) throw new FarmError('storage_failed', `${name.key} is not in the store of this server`);
    return file;
  }

  async #find(name: RenderFileName): Promise<RenderFile | undefined> {
    const { artifacts, redirects } = this.#tools;
    const sizeBytes = await artifacts.size(name.key);
    return sizeBytes === undefined
      ? undefined
      : {
          ...{ ...name, sizeBytes },
          onDisk: async (signal) => {
            const files = await artifacts.checkOut([name.key], { signal });
            return { path: files.path(name.key), [Symbol.asyncDispose]: () => files[Symbol.asyncDispose]() };
          },
          read: (range) => artifacts.read(name.key, range),
          address: async () =>
            redirects
              ? await artifacts.addressOf(name.key, { contentType: name.contentType, disposition: dispositionOf(name) })
              : undefined,
        };
  }
}
