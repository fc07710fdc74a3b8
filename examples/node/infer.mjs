/**
 * Up to 32 frames from the beginning of an audio file, as JPEG files. Needs ffmpeg, which decodes the file.
 *
 *   node examples/node/infer.mjs speech.mp3 [--frames 25] [--out frames]
 *
 * --model, --address (127.0.0.1:50053) and --key, one of auth.api_keys where the farm has any, are as in the examples in
 * Python.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const SAMPLE_RATE = 16_000;
/** The default of 4 MB is too small for many frames. */
const LARGEST_MESSAGE = 100 * 2 ** 20;
/** So much of an answer is on its way at once. With the 64 KB of grpc-js, frames take a round trip for every 64 KB. */
const WINDOW_BYTES = 2 ** 20;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    address: { type: 'string', default: '127.0.0.1:50053' },
    model: { type: 'string', default: 'demo' },
    frames: { type: 'string', default: '25' },
    out: { type: 'string', default: 'frames' },
    key: { type: 'string' },
  },
});
const [audioFile] = positionals;
const { address, model, frames, out: folder, key } = values;
if (!audioFile) {
  console.error('Usage: node examples/node/infer.mjs AUDIO [--frames 25] [--out frames] [--address HOST:PORT]');
  process.exit(2);
}

const proto = fileURLToPath(new URL('../../proto/monolithic.proto', import.meta.url));
const { monolithic } = loadPackageDefinition(loadSync(proto, { keepCase: true, defaults: true }));
const client = new monolithic.MonolithicService(address, credentials.createInsecure(), {
  'grpc.max_receive_message_length': LARGEST_MESSAGE,
  'grpc.max_send_message_length': LARGEST_MESSAGE,
  'grpc-node.flow_control_window': WINDOW_BYTES,
});
const metadata = new Metadata();
if (key) metadata.set('authorization', `Bearer ${key}`);

const ffmpeg = ['-v', 'error', '-i', audioFile, '-f', 'f32le', '-ac', '1', '-ar', String(SAMPLE_RATE), '-'];
const request = {
  model_id: model,
  raw_audio: execFileSync('ffmpeg', ffmpeg, { maxBuffer: LARGEST_MESSAGE }),
  sample_rate: SAMPLE_RATE,
  batch_size: Number(frames),
};
client.InferBatchComposite(request, metadata, { deadline: Date.now() + 60_000 }, (error, answer) => {
  client.close();
  if (error || !answer.success) {
    console.error(error ? error.message : answer.error);
    process.exitCode = 1;
    return;
  }
  mkdirSync(folder, { recursive: true });
  answer.composited_frames.forEach((frame, index) => {
    writeFileSync(`${folder}/frame-${String(index).padStart(4, '0')}.jpg`, frame);
  });
  const total = Math.round(answer.total_time_ms);
  console.log(`${answer.composited_frames.length} frames in ${folder}/ from GPU ${answer.gpu_id}: ${total} ms`);
});
