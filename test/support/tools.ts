import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const TOOLS = ['ffmpeg', 'ffprobe'] as const;
export type ToolName = (typeof TOOLS)[number];

export interface StandInTools {
  /** What processes need as PATH to find the stand-ins. */
  readonly path: string;
  /** Has the tool run these lines of sh from now on; `$REAL "$@"` runs the real one. */
  replace(tool: ToolName, script: string): Promise<void>;
  /** The real ones again. */
  restore(): Promise<void>;
}

/** Programs named ffmpeg and ffprobe in `folder`, to stand before the real ones on PATH. They begin as the real ones. */
export async function standInTools(folder: string): Promise<StandInTools> {
  await mkdir(folder, { recursive: true });
  const realPaths = new Map<ToolName, string>();
  for (const tool of TOOLS) realPaths.set(tool, (await promisify(execFile)('which', [tool])).stdout.trim());
  const replace = async (tool: ToolName, script: string) => {
    const file = path.join(folder, tool);
    await writeFile(file, `#!/bin/sh\nREAL=${realPaths.get(tool)}\n${script}\n`);
    await chmod(file, 0o755);
  };
  const restore = async () => {
    for (const tool of TOOLS) await replace(tool, 'exec "$REAL" "$@"');
  };
  await restore();
  return { path: `${folder}:${process.env.PATH}`, replace, restore };
}
