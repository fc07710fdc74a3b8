/** What lies in the folder of a completed render with a video, by name. */
export const RESULT_FILES = ['contact-sheet.jpg', 'receipt.json', 'video.mp4', 'waterfall.svg', 'waveform.svg'];
