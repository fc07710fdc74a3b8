#!/usr/bin/env node
import { FarmError } from '../shared/errors.ts';
import { reportFailure } from '../shared/process/report-failure.ts';
import { ignored } from '../shared/process/unheard.ts';
import { printJsonLine } from './json-output.ts';
import { buildProgram } from './program.ts';

// That must not end a command in the middle of its work.
process.stdout.on('error', ignored('whoever reads may leave: farm models | head'));
buildProgram()
  .parseAsync()
  .catch((error: unknown) => {
    // Whoever reads JSON gets the fault as JSON, too.
    if (process.argv.includes('--json')) printJsonLine({ error: FarmError.from(error).toReport() });
    reportFailure(error);
  });
