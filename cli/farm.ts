#!/usr/bin/env node
import { reportFailure } from '../shared/process/report-failure.ts';
import { ignored } from '../shared/process/unheard.ts';
import { buildProgram } from './program.ts';

// That must not end a command in the middle of its work.
process.stdout.on('error', ignored('whoever reads may leave: farm models | head'));
buildProgram().parseAsync().catch(reportFailure);
