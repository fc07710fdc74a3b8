/**
 * Containers that hold sound. Playlists and everything else that makes ffmpeg open further files or addresses are
 * left out, and the protocols are narrowed to the file itself.
 */
const CONTAINERS = [
  'wav,w64,mp3,mov,matroska,ogg,flac,aac,aiff,au,caf,amr,ac3,eac3,dts,avi,asf,flv,mpeg,mpegts,mpegvideo,wv,ape,tta',
  'gsm,voc,rm,nut,tak,oma,mpc,mpc8,adx,ast,xwma,mlp,truehd,spdif,dv,gxf,mxf,wtv,ivf,loas,latm,sbc,aptx,nistsphere,ircam',
].join(',');

/** What ffprobe is pointed at an upload with. */
export const UPLOAD_GUARDS = ['-format_whitelist', CONTAINERS, '-protocol_whitelist', 'file'];

/** Input options that make ffmpeg safe to point at an upload. */
export const UPLOAD_INPUT_OPTIONS = ['-nostdin', ...UPLOAD_GUARDS];
