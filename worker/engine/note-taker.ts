import { writeFile } from 'node:fs/promises';
import { ignored } from '../../shared/process/unheard.ts';
import { type FrameMeasures, measureFrame } from '../quality/measure-frame.ts';
import { type SegmentNotes, saveMeasures } from '../quality/segment-notes.ts';
import type { FrameToPaint } from './frame-painter.ts';
import type { SinkTools } from './frame-sinks.ts';

/** Measures the frames of a segment as they pass, and keeps those that the contact sheet shows. */
export class NoteTaker {
  readonly #notes: SegmentNotes;
  readonly #tools: Omit<SinkTools, 'toMain'>;
  readonly #measures: FrameMeasures[] = [];
  readonly #tiles: Promise<void>[] = [];

  constructor(notes: SegmentNotes, tools: Omit<SinkTools, 'toMain'>) {
    this.#notes = notes;
    this.#tools = tools;
  }

  /** Takes the next frame, before anybody changes or releases its memory. */
  note(frame: FrameToPaint): void {
    const { picture, mouth, clock } = frame;
    this.#measures.push(clock.composite(() => measureFrame(picture, mouth)));
    const tileKey = this.#notes.tiles.get(frame.frameIndex);
    if (tileKey === undefined) return;
    const tile = this.#keepTile(tileKey, frame);
    tile.catch(ignored('finish reports it'));
    this.#tiles.push(tile);
  }

  /** Resolves when everything is in the store. */
  async finish(): Promise<void> {
    await Promise.all(this.#tiles);
    await saveMeasures(this.#tools.artifacts, this.#notes, this.#measures);
  }

  async #keepTile(key: string, frame: FrameToPaint): Promise<void> {
    const { painter, memory, artifacts } = this.#tools;
    const jpeg = await painter.shown(frame);
    await frame.clock.encode(() => artifacts.publish(key, (path) => writeFile(path, jpeg)));
    memory.giveBack(jpeg.buffer);
  }
}
