import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { configDoor, landmarksDoor, picturesDoor, rectsDoor } from './doors/files.ts';
import { fuzz } from './fuzz.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'farm-test-fuzz-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const place = (name: string) => path.join(folder, name);

fuzz('config', { cases: 60, percent: 12 }, configDoor(place));
fuzz('rects', { cases: 300, percent: 15 }, rectsDoor);
fuzz('landmarks', { cases: 300, percent: 10 }, landmarksDoor);
fuzz('pictures', { cases: 100, percent: 10 }, await picturesDoor(place));
