import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { BucketSettings } from '../../shared/s3/bucket-settings.ts';

/** The keys that s3rver knows. */
export const S3_KEYS = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };

interface S3Server {
  run(): Promise<{ readonly port: number }>;
  close(): Promise<void>;
}

/** It has no types. */
const S3rver = createRequire(import.meta.url)('s3rver') as new (options: object) => S3Server;

/** A server of buckets, s3rver, in this process, with one that is empty. Close it. */
export async function startS3(bucket = 'farm'): Promise<{ settings: BucketSettings; close(): Promise<void> }> {
  Object.assign(process.env, S3_KEYS);
  const directory = await mkdtemp(path.join(tmpdir(), 'farm-test-s3-'));
  const server = new S3rver({
    ...{ address: '127.0.0.1', port: 0, silent: true, directory, vhostBuckets: false },
    configureBuckets: [{ name: bucket }],
  });
  const { port } = await server.run();
  return {
    settings: { bucket, prefix: 'here', endpoint: `http://127.0.0.1:${port}`, region: '', path_style: 'auto' },
    async close() {
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The same in a process of its own, whose clock is right whatever a test does with that of this one. */
export async function startS3InProcess(t: TestContext): Promise<BucketSettings> {
  const script = `import(${JSON.stringify(import.meta.url)}).then(async ({ startS3 }) => process.send((await startS3()).settings))`;
  const child = spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  t.after(() => child.kill());
  const [settings] = (await once(child, 'message')) as [BucketSettings];
  return settings;
}
