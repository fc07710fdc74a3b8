import sharp from 'sharp';

/** Levels by which a picture may differ from its frame in a video, on average: both are compressed. */
const MOST_DIFFERENCE = 6;
/** By so much frames that show the same may differ. */
const NO_DIFFERENCE = 0.5;

export interface WatchedPicture {
  readonly frameIndex: number;
  readonly jpeg: Buffer;
}

/** All pictures of a preview as MJPEG, once it has ended. */
export async function watched(url: string): Promise<WatchedPicture[]> {
  const answer = await fetch(url);
  const body = Buffer.from(await answer.arrayBuffer()).toString('latin1');
  const [, boundary] =
    /^multipart\/x-mixed-replace; boundary=(\w+)$/.exec(answer.headers.get('content-type') ?? '') ?? [];
  if (boundary === undefined) throw new Error(`No MJPEG: ${answer.status} ${body.slice(0, 500)}`);
  const parts = body.split(`--${boundary}`).slice(1, -1);
  return parts.map((part) => {
    const [, index, jpeg = ''] = /x-frame-index: (\d+)\r\n\r\n(.*)\r\n$/s.exec(part) ?? [];
    return { frameIndex: Number(index), jpeg: Buffer.from(jpeg, 'latin1') };
  });
}

/** Whether a picture looks like that frame of a video, and no other of the ten frames around it is more like it. */
export async function isFrame(jpeg: Buffer, frames: readonly Uint8Array[], index: number): Promise<boolean> {
  const pixels = await sharp(jpeg).removeAlpha().raw().toBuffer();
  const differenceTo = (frame: Uint8Array) =>
    frame.reduce((sum, value, at) => sum + Math.abs(value - (pixels[at] ?? 0)), 0) / frame.length;
  const own = frames[index];
  if (own?.length !== pixels.length) return false;
  const difference = differenceTo(own);
  const least = Math.min(...frames.slice(Math.max(0, index - 5), index + 6).map(differenceTo));
  return difference <= MOST_DIFFERENCE && difference <= least + NO_DIFFERENCE;
}
