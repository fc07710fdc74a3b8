import { execFile, spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import type { BucketSettings } from '../../shared/s3/bucket-settings.ts';
import { makeS3Client } from '../../shared/s3/client.ts';
import { until } from './until.ts';

/** A second server of buckets, by others and in another language: moto, from PyPI. */

const run = promisify(execFile);
const VENV = path.join(import.meta.dirname, '../../node_modules/.cache/moto');
/** Its programs are called through it: they name its folder in their first line, which may have been moved since. */
const PYTHON = path.join(VENV, 'bin/python');
const PROGRAM = path.join(VENV, 'bin/moto_server');
const PACKAGE = 'moto[server,s3]==5.2.5';
const INSTALLED_WITHIN_MS = 240_000;

/** Why there is none on this machine; undefined when it is installed now. */
export async function whyNoMoto(): Promise<string | undefined> {
  const isThere = await access(PROGRAM).then(
    () => true,
    () => false,
  );
  if (isThere) return undefined;
  try {
    await run('python3', ['-m', 'venv', VENV], { timeout: INSTALLED_WITHIN_MS });
    await run(PYTHON, ['-m', 'pip', 'install', '--quiet', PACKAGE], { timeout: INSTALLED_WITHIN_MS });
    await access(PROGRAM);
    return undefined;
  } catch (error) {
    return `skipped: moto cannot be had here: ${(error as Error).message.split('\n')[0]}`;
  }
}

export interface MotoServer extends AsyncDisposable {
  readonly settings: BucketSettings;
  readonly port: number;
}

/** Starts it, with one empty bucket. Any access key is let in. */
export async function startMoto(bucket = 'farm'): Promise<MotoServer> {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'moto', AWS_SECRET_ACCESS_KEY: 'moto-secret' });
  const port = await freePort();
  const child = spawn(PYTHON, [PROGRAM, '-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const settings = {
    ...{ bucket, prefix: 'below', endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1' },
    path_style: 'auto',
  } as const;
  await until('moto answers', async () => {
    return await fetch(settings.endpoint).then(
      () => true,
      () => false,
    );
  });
  const { CreateBucketCommand } = await import('@aws-sdk/client-s3');
  const client = await makeS3Client(settings);
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return {
    settings,
    port,
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
    },
  };
}
