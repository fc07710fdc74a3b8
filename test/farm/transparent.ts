import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import { inspectVideo } from '../support/ffprobe.ts';
import { clearAlpha, SMALL_FACE, SMALL_PICTURE } from '../support/small-avatar.ts';

const { width, height } = SMALL_PICTURE;
/** Bytes of a frame with alpha. */
const FRAME_BYTES = width * height * 4;
/** What VP9 and the chroma of 4:2:0 may change of these plain pictures. */
const CODED = 12;

/** Renders of the model `clear`, whose pictures have alpha. */
export class TransparentRenders {
  readonly #client: NodeFarmClient;
  readonly #folder: string;

  constructor(client: NodeFarmClient, folder: string) {
    this.#client = client;
    this.#folder = folder;
  }

  /** A WebM of a speech, by its hash; it was checked to be in order. */
  async webm(speech: string): Promise<{ readonly sha256: string; readonly file: string }> {
    const { id } = await this.#client.submit(speech, { modelId: 'clear', output: 'webm' });
    const { links } = await this.#client.finished(id);
    assert.deepEqual([links.video, links.frames], [`/v1/renders/${id}/video`, null]);
    const file = path.join(this.#folder, `${id}.webm`);
    await this.#client.saveVideo(id, file);
    const receipt = await this.#client.receipt(id);
    const sha256 = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
    assert.deepEqual([receipt.alpha, receipt.output, receipt.video?.sha256], [true, 'webm', sha256]);
    await checkSheet(await this.#client.picture(id, 'contact-sheet'));
    const { video, audio, videoTimes } = await inspectVideo(file);
    assert.deepEqual([video.codec_name, audio.codec_name, videoTimes.length], ['vp9', 'opus', receipt.frames]);
    return { sha256, file };
  }

  /** PNG frames [from, to) of a speech, as RGBA. */
  async pngs(speech: string, from: number, to: number): Promise<Uint8Array[]> {
    const { id } = await this.#client.submit(speech, { modelId: 'clear', output: 'png-frames', from, to });
    await this.#client.finished(id);
    await checkSheet(await this.#client.picture(id, 'contact-sheet'));
    const frames: Uint8Array[] = [];
    for (let index = from; index < to; index++) {
      const { data, info } = await sharp(await this.#client.frame(id, index))
        .raw()
        .toBuffer({ resolveWithObject: true });
      assert.deepEqual([info.width, info.height, info.channels], [width, height, 4]);
      frames.push(data);
    }
    return frames;
  }
}

/** The first frame of a contact sheet: on the left, where nothing is seen of the picture, are squares of two greys. */
async function checkSheet(sheet: Uint8Array): Promise<void> {
  const { data, info } = await sharp(sheet).raw().toBuffer({ resolveWithObject: true });
  const greys = Array.from({ length: 60 }, (_, x) => data[(20 * info.width + 12 + x) * info.channels] as number);
  assert.ok(Math.min(...greys) > 190 && Math.max(...greys) - Math.min(...greys) > 30, `the left is ${greys}`);
}

/** The frames of a WebM, with the alpha that it has, as RGBA. */
export async function decodeWebm(file: string): Promise<Uint8Array[]> {
  const { stdout } = await promisify(execFile)(
    'ffmpeg',
    ['-v', 'error', '-c:v', 'libvpx-vp9', '-i', file, '-map', '0:v', '-pix_fmt', 'rgba', '-f', 'rawvideo', 'pipe:1'],
    { encoding: 'buffer', maxBuffer: 2 ** 26 },
  );
  return Array.from({ length: stdout.length / FRAME_BYTES }, (_, index) =>
    stdout.subarray(index * FRAME_BYTES, (index + 1) * FRAME_BYTES),
  );
}

/** Alpha as the pictures have it, whatever the mouth does, and a face that the sound changes. */
export function checkFrames(pngs: readonly Uint8Array[], decoded: readonly Uint8Array[]): void {
  assert.equal(decoded.length, pngs.length);
  const brightness = pngs.map((frame) => frame[(20 * width + 40) * 4] as number);
  assert.ok(Math.max(...brightness) - Math.min(...brightness) > 40, `the face is as bright as ${brightness}`);
  for (const [index, png] of pngs.entries()) {
    const coded = decoded[index] as Uint8Array;
    assert.ok((png[1] as number) < 80, 'what is beneath alpha 0 is the picture');
    for (let at = 0; at < FRAME_BYTES; at += 4) {
      const x = (at / 4) % width;
      assert.equal(png[at + 3], clearAlpha(x), `alpha of PNG ${index} at column ${x}`);
      const seen = nearEdge(x, at) ? [3] : [0, 1, 2, 3];
      for (const channel of seen) {
        const [got = 0, expected = 0] = [coded[at + channel], png[at + channel]];
        const place = `channel ${channel} of frame ${index} at ${x}, ${Math.floor(at / 4 / width)}`;
        assert.ok(Math.abs(got - expected) <= CODED, `${place}: got ${got}, expected ${expected}`);
      }
    }
  }
}

/** Where the face meets its picture, chroma of half the resolution has a colour of both. */
function nearEdge(x: number, at: number): boolean {
  const y = Math.floor(at / 4 / width);
  const isNear = (place: number, edge: number) => Math.abs(place - edge) <= 3;
  const { x1, x2, y1, y2 } = SMALL_FACE;
  return isNear(x, x1) || isNear(x, x2) || isNear(y, y1) || isNear(y, y2);
}
