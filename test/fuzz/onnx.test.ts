import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { OnnxDoor } from './doors/onnx.ts';
import { fuzz, isChosen } from './fuzz.ts';

if (isChosen('onnx')) {
  const folder = mkdtempSync(path.join(tmpdir(), 'farm-test-fuzz-'));
  const door = new OnnxDoor((name) => path.join(folder, name));
  after(() => {
    door.close();
    rmSync(folder, { recursive: true, force: true });
  });
  fuzz('onnx', { cases: 40, percent: 3, withinMs: 30_000 }, door.attempt);
}
