/** An avatar's report with names that HTML could misread. */
import type { Quality } from '../../shared/views/quality-view.ts';
import type { AvatarReport } from '../../worker/report/contract.ts';

const RECT = { x1: 10, y1: 20, x2: 110, y2: 120 };
export const QUALITY: Quality = {
  mouth: { movement: 2, correlation: 0.3, lag_frames: 0 },
  seam: { energy: 9, background: 9, added: 0, worst_frame: 3 },
  silence: { frames: 0, stillness: null },
  findings: ['mouth_unlike_voice'],
};
export const REPORT: AvatarReport = {
  modelId: '<script>anna',
  made: 'import',
  madeAt: new Date('2026-11-28T04:37:00Z'),
  facts: [{ subject: 'network', text: '/a "folder" & <b>/195.onnx' }],
  findings: [],
  pictures: {
    size: { width: 640, height: 360 },
    rects: [RECT, RECT],
    numbers: [1, 2],
    shown: [{ number: 1, why: 'the first', rect: RECT, jpeg: Buffer.from('x') }],
  },
  preview: { quality: QUALITY, frames: 50, waveform: '<svg/>', shots: [], video: 'anna "1".mp4' },
};
