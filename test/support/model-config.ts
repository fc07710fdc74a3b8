import type { ModelConfig } from '../../shared/config/model-config.ts';

/** A model's configuration from what a test says of it; everything else is as if its entry did not name it. */
export function modelConfig(values: Partial<ModelConfig> = {}): ModelConfig {
  return {
    modelId: 'ann',
    modelPath: '',
    audioEncoderPath: '',
    backgroundDir: '',
    cropRectsPath: '',
    sourceVideo: '',
    cropsDir: '',
    cropsVideo: '',
    roisDir: '',
    roisVideo: '',
    masksDir: '',
    audioFeatures: undefined,
    hubertChunks: 'long',
    blend: 'none',
    backdropColour: '',
    backdropPicture: '',
    backgroundMode: 'ping-pong',
    frameRate: 25,
    silenceGate: false,
    gate: { openDbfs: -45, closeDbfs: -50, holdMs: 160, leadMs: 160 },
    ...{ idleDir: '', idleVideo: '', idleAfterMs: 1000 },
    frameLimit: undefined,
    preloadModel: false,
    preloadBackgrounds: false,
    preferredGpu: undefined,
    needs: [],
    remote: [],
    problems: [],
    ...values,
  };
}

/** Models by id, each with the id that it is named here. */
export function modelsById(models: Record<string, ModelConfig>): Map<string, ModelConfig> {
  return new Map(Object.entries(models).map(([modelId, model]) => [modelId, { ...model, modelId }]));
}
