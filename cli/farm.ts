#!/usr/bin/env node
import { Command } from 'commander';
import { reportFailure } from '../shared/process/report-failure.ts';
import { importAvatar } from './avatar.ts';
import { demo } from './demo.ts';
import { doctor } from './doctor.ts';
import { down } from './down.ts';
import { drainGpu, listGpus, resumeGpu } from './gpu.ts';
import { inspectMel } from './inspect.ts';
import { listModels, loadModel, type ModelsCommandOptions, unloadModel } from './models.ts';
import { render } from './render.ts';
import { up } from './up.ts';

const DEFAULT_URL = 'http://127.0.0.1:8080';

const program = new Command('farm')
  .description('Lipsync Farm: audio in, talking-head video out.')
  .version('0.1.0')
  .showHelpAfterError();

program
  .command('up')
  .description('run a whole farm on this machine: Redis (unless REDIS_URL is set), api, GPU workers, media worker')
  .option('-c, --config <file>', 'configuration file (default: config.yaml here, else built-in defaults)')
  .action(up);

program
  .command('down')
  .description('stop the farm of this folder and wait until it has drained')
  .option('-c, --config <file>', 'its configuration file (default: config.yaml here, else built-in defaults)')
  .action(down);

program
  .command('demo')
  .description('start a farm, render the sample speech with the demo avatar, stop the farm')
  .option('-o, --out <file>', 'where the video goes', 'out/demo.mp4')
  .option('-a, --audio <file>', 'another audio file instead of the sample speech')
  .action(demo);

program
  .command('render <audio>')
  .description('submit an audio file to a running farm and fetch the video')
  .option('-m, --model <id>', 'model id (not needed when the farm has only one)')
  .option('-o, --out <file>', 'where the video goes (default: the name of the audio file, .mp4)')
  .option('-u, --url <url>', 'address of the farm', DEFAULT_URL)
  .option('-k, --api-key <key>', 'API key, if the farm wants one')
  .action(render);

const models = program
  .command('models')
  .description('models of a running farm: what is loaded where, memory, use')
  .option('-u, --url <url>', 'address of the farm', DEFAULT_URL)
  .option('-k, --api-key <key>', 'API key, if the farm wants one')
  .action(listModels);

models
  .command('load <id>')
  .description('load a model ahead of its first request')
  .option('-g, --gpu <number>', 'GPU to load it on (default: the farm chooses)', Number)
  .action((id, options) => loadModel(id, { ...models.opts<ModelsCommandOptions>(), ...options }));

models
  .command('unload <id>')
  .description('unload a model on every GPU, as soon as nothing uses it')
  .action((id) => unloadModel(id, models.opts<ModelsCommandOptions>()));
const gpu = program
  .command('gpu')
  .description('see the GPUs of a running farm, take them out of service and put them back');
const gpuCommand = (nameAndArguments: string, description: string) =>
  gpu
    .command(nameAndArguments)
    .description(description)
    .option('-u, --url <url>', 'address of the farm', DEFAULT_URL)
    .option('-k, --api-key <key>', 'API key, if the farm wants one');
gpuCommand('list', 'worker, device, backlog, streams and models of every GPU').action(listGpus);
gpuCommand('drain <gpu>', 'finish what runs, take nothing new; waiting jobs go to others').action(drainGpu);
gpuCommand('resume <gpu>', 'take work again, also for models that are blocked there').action(resumeGpu);

program
  .command('doctor')
  .description('check this machine and the configured models, and say how to mend what is missing')
  .option('-c, --config <file>', 'configuration file')
  .action(doctor);

program
  .command('inspect')
  .description('look inside the pipeline')
  .command('mel <audio> <out>')
  .description('write the normalised mel of an audio file: T×80 float32, little-endian')
  .action(inspectMel);

program
  .command('avatar')
  .description('make models of the farm')
  .command('import <dir>')
  .description('take a SyncTalk_2D or Ultralight dataset folder: crop rects, test run, configuration entry, preview')
  .option('-i, --id <name>', 'model id (default: the name of the folder)')
  .option('-c, --config <file>', 'configuration file to add the model to (default: FARM_CONFIG, else config.yaml here)')
  .option('-m, --model <onnx>', 'the lip-sync network (default: found in the folder by its tensors)')
  .option('-a, --audio-encoder <onnx>', 'the audio encoder (default: found in the folder, else the configured one)')
  .option('-s, --size <pixels>', 'what the size of the network must be, 160 or 320 (default: as the network has it)')
  .option('-o, --out <dir>', 'where crop rects, preview and pictures of a video go (default: the folder itself)')
  .option('--no-preview', 'leave out the 2 s of video')
  .option('-f, --force', 'replace an entry of this id, and other crop rects')
  .action(importAvatar);

program.parseAsync().catch(reportFailure);
