/** The files beside an .onnx file in which it keeps weights. */

import path from 'node:path';
import { openFile } from '../files/regular-file.ts';
import { fieldsOf, textOf } from './message-reader.ts';
import { fieldsIn, pieceReader } from './port-shapes.ts';

/** Field numbers of onnx.proto3. */
const GRAPH_FIELD = 7;
const INITIALIZER = 5;
const EXTERNAL_DATA = 13;
const ENTRY = { key: 1, value: 2 };
/** More than a name, an offset and a length take. */
const MOST_ENTRY_BYTES = 1 << 14;

/**
 * Paths of the files that hold weights of its graph, sorted, each once; none for most models.
 * @throws RangeError when it is no ONNX file; the file system's error.
 */
export async function externalFilesOf(modelPath: string): Promise<string[]> {
  await using file = await openFile(modelPath);
  const { size, read } = await pieceReader(file);
  const names = new Set<string>();
  for await (const field of fieldsIn(read, { start: 0, end: size })) {
    if (field.number !== GRAPH_FIELD) continue;
    for await (const part of fieldsIn(read, field)) {
      if (part.number !== INITIALIZER) continue;
      for await (const { number, start, end } of fieldsIn(read, part)) {
        if (number !== EXTERNAL_DATA || end - start > MOST_ENTRY_BYTES) continue;
        const name = locationIn(await read(start, end - start));
        if (name !== undefined) names.add(name);
      }
    }
  }
  return [...names].sort().map((name) => path.resolve(path.dirname(modelPath), name));
}

function locationIn(bytes: Uint8Array): string | undefined {
  const fields = [...fieldsOf(bytes, { start: 0, end: bytes.length })];
  const text = (wanted: number) => fields.flatMap((one) => (one.number === wanted ? [textOf(bytes, one)] : []))[0];
  return text(ENTRY.key) === 'location' ? text(ENTRY.value) : undefined;
}
