import { reportFailure } from '../shared/process/report-failure.ts';
import { ignored } from '../shared/process/unheard.ts';
import { offerWords, WORD_COMMAND } from './completion-words.ts';

/** Runs what the command line says; `farm.ts` loads this. */

// That must not end a command in the middle of its work.
process.stdout.on('error', ignored('whoever reads may leave: farm models | head'));
const [command, kind = '', ...line] = process.argv.slice(2);
// A shell waits for it, and the program with all of its commands takes twice as long to load.
if (command === WORD_COMMAND) offerWords(kind, ` ${line.join(' ')}`).catch(reportFailure);
else {
  import('./program.ts').then(({ buildProgram }) => buildProgram().parseAsync()).catch(reportFailure);
}
