#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// Reading TypeScript is most of what a short command does. Before anything else of the farm is loaded; where the folder
// cannot be written, there is no cache.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/node', import.meta.url)));
await import('./run.ts');
