import { Argument, Command, Option } from 'commander';
import { ROLES } from '../shared/api-keys.ts';
import { FARM_VERSION } from '../shared/version.ts';
import { checkAvatar, importAvatar } from './avatar.ts';
import { completionScript, SHELLS } from './completion.ts';
import { checkConfig } from './config-check.ts';
import { demo } from './demo.ts';
import { doctor } from './doctor/doctor.ts';
import { down } from './down.ts';
import { collectExpired } from './gc.ts';
import { drainGpu, listGpus, resumeGpu } from './gpu.ts';
import { drainHost, forgetHost, listHosts, undrainHost } from './hosts.ts';
import { inspectMel } from './inspect.ts';
import { printJsonLine } from './json-output.ts';
import { listKeys, newKey } from './key.ts';
import { listModels, loadModel, unloadModel } from './models.ts';
import { keyName, positiveNumber, speaksJson, speaksToFarm, wholeNumber } from './options.ts';
import { addRenderCommands } from './render-commands.ts';
import { up } from './up.ts';
import { listTries, printSecrets, testWebhook } from './webhooks.ts';

/** Wrong words on the command line. */
const USAGE_EXIT_CODE = 2;
/** Of those to tell webhooks. */
const TRIES = 20;
const USAGE_REMEDY = 'Run it with --help to see what it takes.';

/** The `farm` command with all of its commands; docs/cli.md describes them. */
export function buildProgram(): Command {
  const program = new Command('farm')
    .description('Lipsync Farm: audio in, talking-head video out.')
    .version(FARM_VERSION)
    .showHelpAfterError(USAGE_REMEDY)
    .exitOverride(({ exitCode, message }) => {
      if (exitCode === 0) process.exit(0);
      if (process.argv.includes('--json')) printJsonLine({ error: usageReport(message) });
      process.exit(USAGE_EXIT_CODE);
    });
  addFarmCommands(program);
  addRenderCommands(program);
  addModelCommands(program);
  addGpuCommands(program);
  addHostCommands(program);
  addKeyCommands(program);
  addWebhookCommands(program);
  addCareCommands(program);
  addMakerCommands(program);
  return program;
}

/** As other failures look to programs. */
function usageReport(message: string) {
  return { code: 'usage_wrong', message: message.replace(/^error: /, ''), remedy: USAGE_REMEDY };
}

function addFarmCommands(program: Command): void {
  speaksJson(program.command('up'), 'print one line of JSON for each event and each line of the log')
    .description('run a whole farm on this machine: Redis (unless REDIS_URL is set), api, GPU workers, media worker')
    .option('-c, --config <file>', 'configuration file (default: config.yaml here, else built-in defaults)')
    .action(up);

  speaksJson(program.command('down'))
    .description('stop the farm of this folder and wait until it has drained')
    .option('-c, --config <file>', 'its configuration file (default: config.yaml here, else built-in defaults)')
    .action(down);

  speaksJson(program.command('demo'), 'print one line of JSON for each event')
    .description('start a farm, render the sample speech with the demo avatar, stop the farm')
    .option('-o, --out <file>', 'where the video goes', 'out/demo.mp4')
    .option('-a, --audio <file>', 'another audio file instead of the sample speech')
    .action(demo);
}

function addModelCommands(program: Command): void {
  const models = speaksJson(speaksToFarm(program.command('models')))
    .description('models of a running farm: what is loaded where, memory, use')
    .action(listModels);

  speaksJson(speaksToFarm(models.command('load <id>')))
    .description('load a model ahead of its first request')
    .option('-g, --gpu <number>', 'GPU to load it on (default: the farm chooses)', wholeNumber)
    .action((id, _, command) => loadModel(id, command.optsWithGlobals()));

  speaksJson(speaksToFarm(models.command('unload <id>')))
    .description('unload a model on every GPU, as soon as nothing uses it')
    .action((id, _, command) => unloadModel(id, command.optsWithGlobals()));
}

function addGpuCommands(program: Command): void {
  const gpu = program
    .command('gpu')
    .description('see the GPUs of a running farm, take them out of service and put them back');
  speaksJson(speaksToFarm(gpu.command('list')))
    .description('worker, device, backlog, streams and models of every GPU')
    .action(listGpus);
  speaksJson(speaksToFarm(gpu.command('drain')))
    .description('finish what runs, take nothing new; waiting jobs go to others')
    .argument('<gpu>', 'its number', wholeNumber)
    .action(drainGpu);
  speaksJson(speaksToFarm(gpu.command('resume')))
    .description('take work again, also for models that are blocked there')
    .argument('<gpu>', 'its number', wholeNumber)
    .action(resumeGpu);
  speaksJson(speaksToFarm(program.command('gpus')))
    .description('the same as gpu list')
    .action(listGpus);
}

function addHostCommands(program: Command): void {
  const host = program
    .command('host')
    .description('see the machines of a running farm, take them out of service and put them back');
  const named = (command: Command) =>
    speaksJson(speaksToFarm(command)).argument('<name>', 'its name, as `farm hosts` shows it');
  speaksJson(speaksToFarm(host.command('list')))
    .description('GPUs, tags, clocks, versions and hashes of models of every host')
    .action(listHosts);
  named(host.command('drain'))
    .description('have all its workers finish what runs and take nothing new, across restarts')
    .option('-w, --wait', 'until nothing runs there')
    .action(drainHost);
  named(host.command('undrain')).description('have its workers take work again').action(undrainHost);
  named(host.command('forget'))
    .description('free the numbers of its GPUs, once it is gone for good')
    .action(forgetHost);
  speaksJson(speaksToFarm(program.command('hosts')))
    .description('the same as host list')
    .action(listHosts);
}

function addKeyCommands(program: Command): void {
  const key = program.command('key').description('API keys of the farm: who may use it, and for what');
  speaksJson(key.command('new'))
    .description('make a key, print it once, and show the entry for the configuration, which has its hash only')
    .requiredOption('-n, --name <name>', 'whose key it is; renders made with it belong to this name', keyName)
    .addOption(new Option('-r, --role <role>', 'what it may do').choices(ROLES).makeOptionMandatory())
    .option('--requests-per-minute <n>', 'requests that it may make (default: any number)', wholeNumber)
    .option(
      '--max-unfinished-renders <n>',
      'its renders that may be unfinished (default: as the farm takes)',
      wholeNumber,
    )
    .option('--max-streams <n>', 'its live streams at the same time (default: as the GPUs allow)', wholeNumber)
    .option('-w, --write', 'put the entry into the configuration file')
    .option('-c, --config <file>', 'that file (default: FARM_CONFIG, else config.yaml here)')
    .action(newKey);
  speaksJson(key.command('list'))
    .description('names, roles and limits of the keys in the configuration')
    .option('-c, --config <file>', 'configuration file (default: FARM_CONFIG, else config.yaml here)')
    .action(listKeys);
}

function addWebhookCommands(program: Command): void {
  const webhooks = speaksJson(speaksToFarm(program.command('webhooks')))
    .description('the latest tries to tell webhooks, newest first')
    .option('-r, --render <id>', 'only those about this render')
    .option('-n, --limit <n>', 'how many, 100 at most', positiveNumber, TRIES)
    .action(listTries);
  speaksJson(speaksToFarm(webhooks.command('test [url]')))
    .description("send a message to try a webhook, by default the farm's own, and say what became of it")
    .action((url, _, command) => testWebhook(url, command.optsWithGlobals()));
  speaksJson(speaksToFarm(webhooks.command('secrets')))
    .description('print the secrets that sign what is sent to the webhooks of this key')
    .action((_, command) => printSecrets(command.optsWithGlobals()));
}

function addCareCommands(program: Command): void {
  speaksJson(speaksToFarm(program.command('gc')))
    .description('remove what has expired: old renders, files that belong to none, failed jobs; see `retention`')
    .option('-n, --dry-run', 'say what would go, and remove nothing')
    .option('--cache', 'remove all segments that are kept for later renders, too')
    .action(collectExpired);

  speaksJson(program.command('doctor'))
    .description('check this machine and the configured models, and say how to mend what is missing')
    .option('-c, --config <file>', 'configuration file')
    .action(doctor);

  speaksJson(program.command('config').description('the configuration').command('check'))
    .description('read the configuration as a farm would, and say what is wrong with it')
    .option('-c, --config <file>', 'configuration file (default: FARM_CONFIG, else config.yaml here)')
    .action(checkConfig);

  program
    .command('completion')
    .description('print a script that completes commands and options: eval "$(farm completion bash)"')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action((shell) => {
      process.stdout.write(completionScript(program, shell));
    });
}

function addMakerCommands(program: Command): void {
  speaksJson(program.command('inspect').description('look inside the pipeline').command('mel <audio> <out>'))
    .description('write the normalised mel of an audio file: T×80 float32, little-endian')
    .action(inspectMel);

  addAvatarCommands(program);
}

function addAvatarCommands(program: Command): void {
  const avatar = program.command('avatar').description('make models of the farm, and look at them');
  speaksJson(avatar.command('import <dir>'))
    .description(
      'take a SyncTalk_2D or Ultralight dataset folder, or an Ultralight avatar of LiveTalking: crop rects, test run, configuration entry, preview, report',
    )
    .option('-i, --id <name>', 'model id (default: the name of the folder)')
    .option(
      '-c, --config <file>',
      'configuration file to add the model to (default: FARM_CONFIG, else config.yaml here)',
    )
    .option('-m, --model <onnx>', 'the lip-sync network (default: found in the folder by its tensors)')
    .option(
      '-p, --checkpoint <pth>',
      'make the network of this PyTorch checkpoint, of the newest in a folder, or of one in the folder by its name (default: the highest number, without an exported network)',
    )
    .option('--audio <kind>', 'what a network hears whose weights do not tell: ave, hubert or wenet')
    .option(
      '-a, --audio-encoder <file>',
      'the audio encoder, ONNX or a checkpoint (default: found in the folder, else the configured one)',
    )
    .option('-s, --size <pixels>', 'what the size of the network must be, 160 or 320 (default: as the network has it)')
    .option(
      '-o, --out <dir>',
      'where crop rects, new networks, preview and pictures of a video go (default: the folder itself)',
    )
    .option('--seconds <n>', 'length of the preview, 1 to 60 (default: 8)')
    .option('--no-preview', 'leave out the video of the sample speech, and what is measured in it')
    .option('--no-report', 'leave out the page about the avatar')
    .option('--strict', 'refuse a folder in which something would be filled from its neighbours or left out')
    .option('--no-masks', 'leave the masks of the folder parsing out: the whole mouth is shown')
    .option('-f, --force', 'replace an entry of this id, and other crop rects and networks')
    .action(importAvatar);
  addAvatarCheck(avatar);
}

function addAvatarCheck(avatar: Command): void {
  speaksJson(avatar.command('check <id>'))
    .description('load a configured model as a worker does, let it speak, and say what is wrong or unusual')
    .option('-c, --config <file>', 'configuration file (default: FARM_CONFIG, else config.yaml here)')
    .option('-r, --report <file>', 'write the page about the avatar there')
    .option('-s, --speech <file>', 'what it says (default: the sample speech)')
    .option('--seconds <n>', 'how long it speaks, 1 to 60 (default: 8)')
    .option('--no-preview', 'let it say nothing: nothing is measured')
    .option('--strict', 'exit with 1 for warnings as well')
    .action(checkAvatar);
}
