/** An example for each operation of the API's description; a test sends them all to a farm. */

const FARM = 'http://127.0.0.1:8080';
const RENDER = `${FARM}/v1/renders/r0mwsm4v4r-d376f0928d`;
const UPLOAD = `${FARM}/v1/uploads/r0mwsm4v4r-d376f0928d`;
const AS_JSON = "-H 'content-type: application/json'";

const EXAMPLES: Readonly<Record<string, string>> = {
  submitRender: `curl ${FARM}/v1/renders -F audio=@speech.wav -F model_id=demo -F 'labels={"project": "spring"}'`,
  submitBatch: `curl ${FARM}/v1/renders/batch -F audio=@speech.wav -F audio=@speech.wav -F 'items=[{}, {"priority": "low"}]'`,
  estimateRender: `curl ${FARM}/v1/renders/estimate ${AS_JSON} -d '{"model_id": "demo", "audio_seconds": 60}'`,
  beginUpload: `curl ${FARM}/v1/uploads ${AS_JSON} -d '{"file_name": "speech.wav", "bytes": 734003200}'`,
  getUpload: `curl ${UPLOAD}`,
  completeUpload: `curl -X POST ${UPLOAD}/complete`,
  deleteUpload: `curl -X DELETE ${UPLOAD}`,
  listRenders: `curl '${FARM}/v1/renders?status=completed&label=project=spring&search=speech&created_from=2026-01-01'`,
  getRender: `curl ${RENDER}`,
  getVideo: `curl ${RENDER}/video -o video.mp4`,
  getFrame: `curl ${RENDER}/frames/7 -o frame.jpg`,
  getPreview: `curl ${RENDER}/preview -o preview.jpg  # while it is being made`,
  getReceipt: `curl ${RENDER}/receipt`,
  getContactSheet: `curl ${RENDER}/contact-sheet -o contact-sheet.jpg`,
  getWaveform: `curl ${RENDER}/waveform -o waveform.svg`,
  getWaterfall: `curl ${RENDER}/waterfall -o waterfall.svg`,
  followRender: `curl -N ${RENDER}/events`,
  followRenders: `curl -N '${FARM}/v1/events?types=render.completed,render.failed'`,
  cancelRender: `curl -X POST ${RENDER}/cancel`,
  retryRender: `curl -X POST ${RENDER}/retry`,
  deleteRender: `curl -X DELETE ${RENDER}`,
  listModels: `curl ${FARM}/v1/models`,
  loadModel: `curl ${FARM}/v1/models/demo/load ${AS_JSON} -d '{"gpu": 0}'`,
  unloadModel: `curl -X POST ${FARM}/v1/models/demo/unload`,
  getAvatarPortrait: `curl ${FARM}/v1/models/demo/portrait -o portrait.jpg`,
  listAvatarPictures: `curl ${FARM}/v1/models/demo/pictures`,
  getAvatarPicture: `curl ${FARM}/v1/models/demo/pictures/0 -o picture.jpg`,
  testWebhook: `curl ${FARM}/v1/webhooks/test ${AS_JSON} -d '{"url": "https://example.com/renders"}'`,
  listDeliveries: `curl '${FARM}/v1/webhooks/deliveries?limit=5'`,
  getWebhookSecrets: `curl ${FARM}/v1/webhooks/secrets`,
  getSession: `curl ${FARM}/v1/session`,
  listGpus: `curl ${FARM}/v1/gpus`,
  getQueueHistory: `curl ${FARM}/v1/queues/history`,
  drainGpu: `curl -X POST ${FARM}/v1/gpus/0/drain`,
  resumeGpu: `curl -X POST ${FARM}/v1/gpus/0/resume`,
  listHosts: `curl ${FARM}/v1/hosts`,
  drainHost: `curl -X POST ${FARM}/v1/hosts/gpu-host-1/drain`,
  undrainHost: `curl -X POST ${FARM}/v1/hosts/gpu-host-1/undrain`,
  forgetHost: `curl -X DELETE ${FARM}/v1/hosts/gpu-host-9`,
  collectExpired: `curl -X POST '${FARM}/v1/gc?dry_run=true'`,
  isAlive: `curl ${FARM}/healthz`,
  isReady: `curl ${FARM}/readyz`,
};

interface Operation {
  readonly operationId?: string;
  readonly description?: string;
}

/** An operation with its example: for tools that know code samples, and as text for those that do not. */
export function withExample<O extends Operation>(operation: O): O {
  const source = EXAMPLES[operation.operationId ?? ''];
  if (source === undefined) return operation;
  const text = `With curl:\n\n\`\`\`sh\n${source}\n\`\`\``;
  return {
    ...operation,
    description: operation.description ? `${operation.description}\n\n${text}` : text,
    'x-codeSamples': [{ lang: 'Shell', label: 'curl', source }],
  };
}
