/**
 * Containers that hold sound. Playlists and other formats that make ffmpeg open further files or addresses are left
 * out, and the only protocol is that of the file itself.
 */
const CONTAINERS = [
  'wav,w64,mp3,mov,matroska,ogg,flac,aac,aiff,au,caf,amr,ac3,eac3,dts,avi,asf,flv,mpeg,mpegts,mpegvideo,wv,ape,tta',
  'gsm,voc,rm,nut,tak,oma,mpc,mpc8,adx,ast,xwma,mlp,truehd,spdif,dv,gxf,mxf,wtv,ivf,loas,latm,sbc,aptx,nistsphere,ircam',
].join(',');

/** Options with which ffprobe can safely read an upload. */
export const UPLOAD_GUARDS = ['-format_whitelist', CONTAINERS, '-protocol_whitelist', 'file'];

/** Input options with which ffmpeg can safely read an upload. */
export const UPLOAD_INPUT_OPTIONS = ['-nostdin', ...UPLOAD_GUARDS];
