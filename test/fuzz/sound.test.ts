import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { soundDoor } from './doors/sound.ts';
import { fuzz, isChosen } from './fuzz.ts';

if (isChosen('sound')) {
  const folder = mkdtempSync(path.join(tmpdir(), 'farm-test-fuzz-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const door = await soundDoor((name) => path.join(folder, name));
  fuzz('sound', { cases: 6, percent: 1, atOnce: 2, withinMs: 60_000 }, door);
}
