import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { generatedFiles } from '../../scripts/generate-grpc-messages.ts';

for (const [file, text] of generatedFiles()) {
  const name = path.basename(file, '.ts');
  test(`the messages of proto/${name}.proto are those of the file`, () => {
    assert.equal(readFileSync(file, 'utf8'), text, 'run npm run generate:messages');
  });
}
