/**
 * Containers that hold sound. Playlists and other formats that make ffmpeg open further files or addresses are left
 * out, and the only protocol is that of the file itself.
 */
const CONTAINERS = [
  'wav,w64,mp3,mov,matroska,ogg,flac,aac,aiff,au,caf,amr,ac3,eac3,dts,avi,asf,flv,mpeg,mpegts,mpegvideo,wv,ape,tta',
  'gsm,voc,rm,nut,tak,oma,mpc,mpc8,adx,ast,xwma,mlp,truehd,spdif,dv,gxf,mxf,wtv,ivf,loas,latm,sbc,aptx,nistsphere,ircam',
].join(',');

/** More than 8K. A cover of a few kilobytes in a sound file can unfold to gigabytes, and ffprobe unfolds covers. */
export const MOST_PIXELS = 8192 * 8192;
/** No recording has as many tracks; each takes memory. */
const MOST_STREAMS = 64;

/** Options with which ffprobe can safely read a file of others. */
export const UPLOAD_GUARDS = [
  ...['-format_whitelist', CONTAINERS, '-protocol_whitelist', 'file'],
  ...['-max_pixels', String(MOST_PIXELS), '-max_streams', String(MOST_STREAMS)],
];

/** Input options with which ffmpeg can safely read an upload. */
export const UPLOAD_INPUT_OPTIONS = ['-nostdin', ...UPLOAD_GUARDS];
