/** A recording of the microphone that runs. */
export interface Recording {
  readonly startedAtMs: number;
  /** Ends it and gives what was recorded, in the form that the browser records in. */
  stop(): Promise<Blob>;
}

/** Asks for the microphone and begins to record. Rejects when there is none, or the user does not allow it. */
export async function startRecording(): Promise<Recording> {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  const pieces: Blob[] = [];
  recorder.addEventListener('dataavailable', ({ data }) => pieces.push(data));
  recorder.start();
  return {
    startedAtMs: performance.now(),
    async stop() {
      const { promise, resolve } = Promise.withResolvers<void>();
      recorder.addEventListener('stop', () => resolve(), { once: true });
      recorder.stop();
      await promise;
      for (const track of stream.getTracks()) track.stop();
      return new Blob(pieces, { type: recorder.mimeType });
    },
  };
}
