/** Hands what the microphone hears to the page, in pieces of about 20 ms. Runs on the thread of the sound. */

declare const currentTime: number;
declare function registerProcessor(name: string, processor: object): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

const PIECE_SAMPLES = 1024;

class Capture extends AudioWorkletProcessor {
  #samples = new Float32Array(PIECE_SAMPLES);
  #count = 0;
  #atS = 0;

  process([input]: readonly (readonly Float32Array[])[]): boolean {
    const [channel] = input ?? [];
    if (!channel) return true;
    if (this.#count === 0) this.#atS = currentTime;
    this.#samples.set(channel, this.#count);
    this.#count += channel.length;
    if (this.#count < PIECE_SAMPLES) return true;
    this.port.postMessage({ samples: this.#samples, atS: this.#atS });
    this.#samples = new Float32Array(PIECE_SAMPLES);
    this.#count = 0;
    return true;
  }
}

registerProcessor('capture', Capture);
