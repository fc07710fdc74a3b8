import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * `npm run images:pin`: looks up the digest of every image that is named in the Dockerfile and the compose files, and
 * writes it behind the tag, so that a build takes the same image every time. Run it again to move to the newest one of
 * each tag. Needs docker with buildx, and the network.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FILES = [
  'Dockerfile',
  'docker-compose.yml',
  'docker-compose.cuda.yml',
  'docs/ops/kubernetes/overlays/one-node/redis.yaml',
];
/** `FROM name:tag` and `image: name:tag`, with or without a digest; own images and build stages have no tag. */
const IMAGE = /^(\s*(?:FROM|image:)\s+)([\w./-]+:[\w.-]+)(?:@sha256:[0-9a-f]{64})?(?=\s|$)/gm;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
/** Built here, so no registry knows them. */
const OWN = /^lipsync-farm(?::|$)/;

/** @param digestOf of an image with its tag. @returns the text with every image of others at its digest. */
export function pinned(text: string, digestOf: (image: string) => string): string {
  return text.replace(IMAGE, (line, before: string, image: string) => {
    if (OWN.test(image)) return line;
    const digest = digestOf(image);
    if (!DIGEST.test(digest)) throw new Error(`${image}: the registry answered "${digest}", which is no digest`);
    return `${before}${image}@${digest}`;
  });
}

function askRegistry(image: string): string {
  const args = ['buildx', 'imagetools', 'inspect', '--format', '{{.Manifest.Digest}}', image];
  return execFileSync('docker', args, { encoding: 'utf8' }).trim();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of FILES) {
    const path = join(ROOT, name);
    writeFileSync(path, pinned(readFileSync(path, 'utf8'), askRegistry));
  }
}
