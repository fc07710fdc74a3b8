/** What an import and a check tell of an avatar: lines as they go, warnings, and the report page. */

import { writeFile } from 'node:fs/promises';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { USUAL_HEARING } from '../../shared/sound/hearing.ts';
import { describeHearing } from '../../shared/sound/row-reach.ts';
import type { Finding } from '../avatar/finding.ts';
import type { PictureSize } from '../avatar/picture-file.ts';
import { rectFindings } from '../avatar/rect-findings.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { Rect } from '../pipeline/contract.ts';
import type { AvatarReport } from '../report/contract.ts';
import { qualityFindings } from '../report/numbers.ts';
import { reportPage } from '../report/page.ts';
import { showPictures } from '../report/shown-pictures.ts';
import type { ImportOptions } from './import-options.ts';
import type { PreviewFacts } from './preview-video.ts';

/** An avatar's pictures as they were found; each list has one of each picture. */
export interface ToldPictures {
  readonly paths: readonly string[];
  readonly numbers: readonly number[];
  readonly rects: readonly Rect[];
  readonly size: PictureSize;
  /** What was filled or left out. */
  readonly findings: readonly Finding[];
}

/** All that is to be looked at, the folder's first. */
export function findingsOf(
  pictures: ToldPictures | undefined,
  networkSize: number,
  preview: PreviewFacts | undefined,
): readonly Finding[] {
  const ofRects = pictures ? rectFindings(pictures.rects, pictures.numbers, pictures.size, networkSize) : [];
  return [...(pictures?.findings ?? []), ...ofRects, ...(preview ? qualityFindings(preview.quality) : [])];
}

/** @param source where they are. */
export function describeRects(rects: readonly Rect[], source: string): string {
  const sides = rects.map(({ x1, x2 }) => x2 - x1).sort((a, b) => a - b);
  const { x1, y1, x2, y2 } = rects[0] as Rect;
  const wide = sides[0] === sides.at(-1) ? sides[0] : `${sides[0]} to ${sides.at(-1)}`;
  return `${wide} pixels wide, the first [${x1}, ${y1}, ${x2}, ${y2}], from ${source}`;
}

/** @param model the entry, whose paths are told. */
export function sayLoaded(say: ImportOptions['say'], model: ModelConfig, loaded: LoadedModel, whyEncoder = ''): void {
  const { network, provider, msPerFrame } = loaded;
  const speed = `${provider.provider}, ${msPerFrame.toFixed(1)} ms/frame`;
  say('network', `${model.modelPath}, ${network.size}², ${speed}`);
  say('hears', describeHearing(network.hearing ?? USUAL_HEARING));
  say('encoder', `${model.audioEncoderPath}${whyEncoder}`);
}

/** @param video where it will be; undefined when it is not kept. */
export function sayPreview(say: ImportOptions['say'], { frames, msPerFrame, quality }: PreviewFacts, video?: string) {
  say('preview', `${video ? `${video}, ` : ''}${frames} frames, ${msPerFrame.toFixed(1)} ms/frame in all`);
  const { mouth, seam, silence } = quality;
  const numbers = [
    `movement ${mouth.movement}`,
    `correlation ${mouth.correlation ?? 'unknown'}`,
    `lag ${mouth.lag_frames ?? 'unknown'}`,
    `seam ${seam.added}`,
    `stillness ${silence.stillness ?? 'unknown'}`,
  ];
  say('quality', numbers.join(', '));
}

interface Told extends Omit<AvatarReport, 'pictures' | 'preview' | 'madeAt'> {
  readonly pictures: ToldPictures | undefined;
  readonly preview: (PreviewFacts & { readonly video?: string }) | undefined;
}

/** Writes the page. */
export async function writeReport(file: string, told: Told): Promise<void> {
  const { pictures, findings } = told;
  const shown = pictures && { ...pictures, shown: await showPictures(pictures, findings) };
  await writeFile(file, reportPage({ ...told, pictures: shown, madeAt: new Date() }));
}
