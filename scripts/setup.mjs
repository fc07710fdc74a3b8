/**
 * Makes a fresh clone ready to run: the `pre` hook of every npm script. It installs what is missing and nothing else:
 * the Node packages, a Node 24 for the scripts where the host's is older, redis-server and ffmpeg. When nothing is
 * missing it only looks. It runs on Node 18 and newer and uses nothing but Node itself. FARM_SKIP_SETUP=1 skips it, for
 * images that bring everything along.
 */
import {
  installNode,
  installPackages,
  linkFarmCommand,
  nodeIsNew,
  packagesAreInstalled,
} from './setup/node-packages.mjs';
import { ROOT } from './setup/places.mjs';
import { withSetupLock } from './setup/setup-lock.mjs';
import { SetupError } from './setup/step.mjs';
import { checkRedisVersion, installTools, missingTools, redisIsNeeded } from './setup/system-tools.mjs';

function isReady() {
  return packagesAreInstalled() && nodeIsNew() && missingTools().length === 0;
}

/** In this order: npm ci empties node_modules, so that everything else that lives there comes after it. */
function installWhatIsMissing() {
  if (!packagesAreInstalled()) installPackages();
  if (!nodeIsNew()) installNode();
  const tools = missingTools();
  if (tools.length > 0) installTools(tools);
}

function main() {
  if (process.env.FARM_SKIP_SETUP === '1') return;
  try {
    if (!isReady()) withSetupLock(ROOT, installWhatIsMissing);
    linkFarmCommand();
    if (redisIsNeeded()) checkRedisVersion();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`\n${error.message}\n`);
    process.exitCode = 1;
  }
}

main();
