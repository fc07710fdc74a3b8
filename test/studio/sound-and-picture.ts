/**
 * When the sound of a page is heard and when its pictures are painted, seen from outside of the module that does both:
 * what is connected to the loudspeaker is listened to, and the canvas is read after each drawing.
 */

/** Of one clock, in ms. The value of a sound is its loudness, that of a picture the brightness of the face. */
export interface Sample {
  readonly atMs: number;
  readonly value: number;
}
export interface Recorded {
  readonly sound: readonly Sample[];
  readonly picture: readonly Sample[];
}

/** Below this loudness there is silence, −60 dB; from this one on sound has begun. */
const SILENCE = 1e-3;
const AUDIBLE = 1e-2;
const LOUDNESS_MS = 30;

/**
 * To be run in a page before its own scripts; leaves `window.recorded()`, which resolves to a `Recorded`. The times of
 * sound are those at which the AudioContext says (`getOutputTimestamp`) that it leaves the device.
 * @param face rect of the canvas whose green channel is read.
 */
export function recorderScript(face: { x1: number; y1: number; x2: number; y2: number }): string {
  const tap = `registerProcessor('tap', class extends AudioWorkletProcessor {
    process([[channel]]) {
      const sum = channel ? channel.reduce((sum, sample) => sum + sample * sample, 0) : 0;
      this.port.postMessage([currentTime, Math.sqrt(sum / 128)]);
      return true;
    }
  })`;
  return `(() => {
    const sound = [], picture = [], clock = [], taps = new WeakMap();
    const { resume } = AudioContext.prototype;
    AudioContext.prototype.resume = async function () {
      await this.audioWorklet.addModule(URL.createObjectURL(new Blob([${JSON.stringify(tap)}], { type: 'text/javascript' })));
      const node = new AudioWorkletNode(this, 'tap', { numberOfOutputs: 0 });
      taps.set(this, node);
      node.port.onmessage = ({ data }) => {
        sound.push(data);
        const { contextTime, performanceTime } = this.getOutputTimestamp();
        if (performanceTime > 0) clock.push(performanceTime - 1000 * contextTime);
      };
      return await resume.call(this);
    };
    const { connect } = AudioNode.prototype;
    AudioNode.prototype.connect = function (target, ...rest) {
      if (target instanceof AudioDestinationNode) connect.call(this, taps.get(this.context));
      return connect.call(this, target, ...rest);
    };
    const { drawImage } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.drawImage = function (...drawing) {
      drawImage.apply(this, drawing);
      const atMs = performance.now();
      const { data } = this.getImageData(${face.x1}, ${face.y1}, ${face.x2 - face.x1}, ${face.y2 - face.y1});
      let sum = 0;
      for (let at = 1; at < data.length; at += 4) sum += data[at];
      picture.push({ atMs, value: (4 * sum) / data.length });
    };
    // The microphone as it is: what browsers do to voices would change their loudness on the way.
    const { getUserMedia } = MediaDevices.prototype;
    MediaDevices.prototype.getUserMedia = function () {
      return getUserMedia.call(this, { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    };
    window.recorded = () => {
      const offset = clock.sort((a, b) => a - b)[Math.floor(clock.length / 2)];
      return { sound: sound.map(([atS, value]) => ({ atMs: 1000 * atS + offset, value })), picture };
    };
  })();`;
}

/** Pieces of a recording that are compared, and how closely. */
const PIECE_MS = 2000;
const PIECES_EVERY_MS = 500;
const STEP_MS = 4;
const COARSE_STEP_MS = 20;
const MOST_OFFSET_MS = 300;
/** A piece counts when both its sound and its pictures are so much like the original's. */
const ALIKE = 0.95;

/**
 * How much later the picture of a recording is than its sound, in ms, for pieces of two seconds, one each half second:
 * both are found in the same sound's own loudness and in its frames as they were rendered, by correlation.
 * @param original of `periodMs` of sound, which may be heard again and again.
 */
export function offsetsOf(original: Recorded, recorded: Recorded, periodMs: number): number[] {
  const heard = recorded.sound.filter(({ value }) => value > AUDIBLE);
  const [firstMs, lastMs] = [heard[0]?.atMs ?? 0, heard.at(-1)?.atMs ?? 0];
  const [own, sound] = [loudness(original.sound), loudness(recorded.sound)];
  const begins = range(firstMs, Math.min(lastMs, recorded.picture.at(-1)?.atMs ?? 0) - PIECE_MS, PIECES_EVERY_MS);
  return begins.flatMap((fromMs) => {
    const find = (origin: readonly Sample[], seen: readonly Sample[], delays: readonly number[]) =>
      delayOf({ origin, periodMs }, { seen, fromMs }, delays);
    const near = (delayMs: number) => range(delayMs - MOST_OFFSET_MS, delayMs + MOST_OFFSET_MS, STEP_MS);
    const about = find(own, sound, range(fromMs - periodMs, fromMs, COARSE_STEP_MS));
    const ofSound = find(own, sound, near(about.delayMs));
    const ofPicture = find(original.picture, recorded.picture, near(ofSound.delayMs));
    return Math.min(ofSound.likeness, ofPicture.likeness) > ALIKE ? [ofPicture.delayMs - ofSound.delayMs] : [];
  });
}

/** Over some periods of a voice, in decades, as ears and the network hear it. */
function loudness(sound: readonly Sample[]): Sample[] {
  return sound.map(({ atMs }, at) => {
    let begin = at;
    while (begin > 0 && atMs - (sound[begin - 1]?.atMs ?? 0) < LOUDNESS_MS) begin--;
    const power = mean(sound.slice(begin, at + 1).map(({ value }) => value * value));
    return { atMs, value: Math.log10(Math.max(SILENCE, Math.sqrt(power))) };
  });
}

interface Origin {
  readonly origin: readonly Sample[];
  readonly periodMs: number;
}
interface Piece {
  readonly seen: readonly Sample[];
  readonly fromMs: number;
}

/** By how much what was seen is behind its origin, as both are most alike; how alike they are then, -1 … 1. */
function delayOf({ origin, periodMs }: Origin, { seen, fromMs }: Piece, delays: readonly number[]) {
  const times = range(fromMs, fromMs + PIECE_MS, STEP_MS);
  const values = times.map((atMs) => valueAt(seen, atMs));
  const originAt = (atMs: number) => valueAt(origin, ((atMs % periodMs) + periodMs) % periodMs);
  const likeness = delays.map((delayMs) =>
    correlation(
      values,
      times.map((atMs) => originAt(atMs - delayMs)),
    ),
  );
  const best = likeness.indexOf(Math.max(...likeness));
  const [before = 0, top = 0, behind = 0] = [best - 1, best, best + 1].map((at) => likeness[at] ?? likeness[best]);
  // The top of the parabola through the best value and its neighbours.
  const bend = before - 2 * top + behind;
  const shift = bend < 0 ? (before - behind) / (2 * bend) : 0;
  const step = (delays[1] ?? 0) - (delays[0] ?? 0);
  return { delayMs: (delays[best] ?? Number.NaN) + shift * step, likeness: top };
}

/** The value that holds at a time: the last one before it. */
function valueAt(samples: readonly Sample[], atMs: number): number {
  let [low, high] = [0, samples.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((samples[middle]?.atMs ?? 0) <= atMs) low = middle + 1;
    else high = middle;
  }
  return samples[low - 1]?.value ?? 0;
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [mean(a), mean(b)];
  const sum = (f: (x: number, y: number) => number) =>
    a.reduce((total, value, at) => total + f(value - meanA, (b[at] ?? 0) - meanB), 0);
  return sum((x, y) => x * y) / (Math.sqrt(sum((x) => x * x) * sum((_, y) => y * y)) || 1);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function range(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, index) => from + index * step);
}
