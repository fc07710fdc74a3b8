import { readFile, writeFile } from 'node:fs/promises';
import type { ErrorCode } from '../../../shared/errors/catalogue.ts';
import { decodeAudio } from '../../../worker/media/decode-audio.ts';
import { ffmpeg, lavfi } from '../../media/media-files.ts';
import { mutateBytes } from '../mutate.ts';
import type { Random } from '../random.ts';
import { allowRefusals } from './refusals.ts';

/** Uploads: containers of sound, damaged, through the real ffmpeg as a media worker calls it. */

const FORMS = [
  'sound.wav',
  'sound.mp3',
  'sound.flac',
  'sound.ogg',
  'sound.m4a',
  'sound.mkv',
  'sound.aiff',
  'sound.avi',
];
/** Faults of the upload. With one of the farm the render would be tried again for as long as is configured. */
const REFUSALS: readonly ErrorCode[] = [
  ...(['audio_unreadable', 'audio_no_stream', 'audio_empty', 'audio_implausible', 'audio_too_long'] as const),
];
const MAX_SECONDS = 60;

export async function soundDoor(place: (name: string) => string) {
  const outputs = FORMS.flatMap((name) => ['-ac', '2', place(name)]);
  await ffmpeg(...lavfi('sine=duration=0.3:sample_rate=22050'), ...outputs);
  const files = await Promise.all(FORMS.map((name) => readFile(place(name))));
  const { signal } = new AbortController();
  return async (random: Random) => {
    const file = random.pick(files);
    // Most of what decides is in the first bytes.
    const headBytes = random.chance(0.7) ? Math.min(file.length, 256) : file.length;
    const head = mutateBytes(random, file.subarray(0, headBytes));
    const bytes = Buffer.concat([head, file.subarray(headBytes)]);
    const name = `upload-${random.below(2 ** 30)}`;
    await writeFile(place(name), bytes);
    await allowRefusals(REFUSALS, bytes, () =>
      decodeAudio(place(name), { mouth: place(`${name}.f32`), ear: place(`${name}.s16`) }, MAX_SECONDS, signal),
    );
  };
}
