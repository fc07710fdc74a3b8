import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, type TestContext } from 'node:test';
import { openArtifacts } from '../../shared/artifacts/open.ts';
import { artifactStoreContract } from '../artifacts/store-contract.ts';
import { startS3 } from '../support/s3-server.ts';

const server = await startS3();
const storageRoot = await mkdtemp(path.join(tmpdir(), 'farm-test-s3-artifacts-'));
after(async () => {
  await server.close();
  await rm(storageRoot, { recursive: true, force: true });
});

let stores = 0;
/** Under a prefix of its own each. */
async function makeStore(_: TestContext) {
  return openArtifacts({ storageRoot, bucket: { ...server.settings, prefix: `store-${stores++}` } }, { patienceMs: 0 });
}

artifactStoreContract('bucket', makeStore);
