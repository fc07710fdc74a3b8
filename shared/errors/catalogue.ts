/**
 * The catalogue of errors. Every failure that a user or an operator can meet has a stable code here, with whether a
 * retry can help, and the HTTP status and the gRPC status (by number) of the answer. Messages say what happened and
 * why; `remedy` says what to do about it.
 */

interface CatalogueEntry {
  readonly httpStatus: number;
  /** Canonical gRPC status number: 3 INVALID_ARGUMENT, 5 NOT_FOUND, 6 ALREADY_EXISTS, 8 RESOURCE_EXHAUSTED, … */
  readonly grpcStatus: number;
  /** True when the same job may succeed if it is tried again unchanged. */
  readonly retryable: boolean;
  readonly remedy: string;
}

export const ERROR_CATALOGUE = {
  request_invalid: entry(400, 3, false, 'Correct what is named and send the request again.'),
  upload_missing: entry(400, 3, false, 'Send multipart/form-data with the audio in a file field named "audio".'),
  upload_unknown: entry(
    404,
    5,
    false,
    'Check the id; an upload that is not rendered goes after retention.orphan_hours.',
  ),
  upload_incomplete: entry(
    409,
    9,
    false,
    'PUT the missing parts to the addresses of GET /v1/uploads/{id}, then complete it.',
  ),
  uploads_unavailable: entry(
    409,
    9,
    false,
    'Send the sound with POST /v1/renders; uploads in parts need storage.driver s3.',
  ),
  upload_too_large: entry(413, 3, false, 'Send a shorter or compressed file, or raise limits.max_upload_mb.'),
  audio_empty: entry(422, 3, false, 'Send a file that contains sound; this one has no samples.'),
  audio_unreadable: entry(422, 3, false, 'Send audio that ffmpeg can decode, such as WAV, MP3, M4A, OGG or FLAC.'),
  audio_implausible: entry(
    422,
    3,
    false,
    'Send the recording itself, or write the file again with an ordinary encoder.',
  ),
  audio_no_stream: entry(422, 3, false, 'Send a file with a sound track; this one has none.'),
  audio_too_long: entry(422, 3, false, 'Cut the audio into shorter files, or raise limits.max_audio_minutes.'),
  landmarks_missing: entry(
    400,
    3,
    false,
    'Send with the video a file field "rects" (crop_rects.json) or "landmarks" (.lms files one after the other).',
  ),
  landmarks_unusable: entry(
    422,
    3,
    false,
    'Send one crop rect, or one set of 110 landmarks, for each frame of the video, inside its picture.',
  ),
  video_unreadable: entry(422, 3, false, 'Send a video that ffmpeg can decode to its end, such as MP4, MOV or WebM.'),
  video_too_long: entry(422, 3, false, 'Cut the video into shorter ones, or raise limits.max_video_minutes.'),
  model_unknown: entry(404, 5, false, 'Use a model id listed under models: in config.yaml.'),
  model_unusable: entry(422, 9, false, "Mend the model's files or paths; `farm doctor` checks every model."),
  model_files_differ: entry(
    409,
    9,
    false,
    'Give every host the same files, then reload (SIGHUP) or unload the model everywhere.',
  ),
  model_too_large: entry(
    422,
    9,
    false,
    'Raise capacity.max_memory_gb and gpus.memory_gb_per_gpu, or lower capacity.background_cache_frames.',
  ),
  key_exists: entry(409, 6, false, 'Choose another --name, or remove the entry from auth.keys first.'),
  model_exists: entry(409, 6, false, 'Choose another --id, or give --force to replace what is there.'),
  render_unknown: entry(404, 5, false, 'Check the render id; a deleted render is gone for good.'),
  record_unreadable: entry(
    500,
    13,
    false,
    'Update this process if another version of the farm wrote it; the log names what is wrong.',
  ),
  render_not_finished: entry(409, 9, false, 'Wait until the render has completed, then ask again.'),
  render_cancelled: entry(409, 10, false, 'Submit the audio again to render it after all.'),
  render_failed: entry(409, 9, false, 'Read the error of the render, mend its cause, and retry or submit again.'),
  render_not_resumable: entry(409, 9, false, 'Submit the audio again: what the render was made from is gone.'),
  output_not_kept: entry(409, 9, false, 'Submit the render again with the other `output` to get this form of it.'),
  preview_unknown: entry(404, 5, false, 'Ask again while the render runs; pictures come twice a second.'),
  picture_unknown: entry(404, 5, false, 'Submit the audio again to get this picture; the video is there without it.'),
  avatar_picture_unknown: entry(
    404,
    5,
    false,
    'Ask again when a media worker has run for some seconds; GET /v1/models says what is wrong with the avatar.',
  ),
  frame_unknown: entry(404, 5, false, 'Ask for a frame index from 0 to frames.total - 1.'),
  range_unsatisfiable: entry(416, 11, false, 'Ask for a byte range inside the file.'),
  idempotency_conflict: entry(409, 6, false, 'Use a new Idempotency-Key for a different request.'),
  queue_full: entry(429, 8, true, 'Wait for the time in Retry-After, or raise server.queue_size.'),
  capacity_full: entry(429, 8, true, 'Wait until a stream ends, or add GPU workers; GET /v1/gpus shows who has room.'),
  event_streams_full: entry(
    429,
    8,
    true,
    'Close streams of events that nobody reads, ask another front end, or raise limits.max_event_streams.',
  ),
  previews_full: entry(
    429,
    8,
    true,
    'Play the video instead (GET /v1/renders/{id}/video), ask another front end, or raise limits.max_video_previews.',
  ),
  memory_full: entry(429, 8, true, 'Wait until other requests have ended, or raise limits.memory_budget_mb.'),
  deadline_exceeded: entry(504, 4, true, 'Try again, allow more time, or add GPU workers.'),
  request_cancelled: entry(499, 1, false, 'The caller went away; there is nothing to do.'),
  farm_draining: entry(503, 14, true, 'Send the request to another front end, or again in a moment.'),
  redis_unavailable: entry(
    503,
    14,
    true,
    'Check that Redis runs, that redis.url points to it, and what it says: OOM wants more maxmemory, MISCONF disk, READONLY the primary.',
  ),
  outcome_unknown: entry(
    503,
    14,
    true,
    'Ask again, with the same Idempotency-Key for a new render; without a key, look for the render by its id first.',
  ),
  redis_unsuitable: entry(503, 9, false, 'Use Redis 6.2 or newer with maxmemory-policy noeviction.'),
  storage_failed: entry(
    503,
    14,
    true,
    'Check that storage.root is mounted, writable, and the same for all processes; with storage.driver s3, that the server of the bucket answers.',
  ),
  storage_denied: entry(
    503,
    14,
    true,
    'Give this host credentials that may read, write, list and delete under storage.s3; `farm doctor` tests them.',
  ),
  storage_misconfigured: entry(
    503,
    14,
    true,
    'Correct storage.s3.bucket, region and endpoint; `farm doctor` tests them.',
  ),
  clock_wrong: entry(503, 14, true, 'Set the clock of the host that is named, and keep it set by NTP.'),
  storage_full: entry(
    503,
    14,
    true,
    'Free space on the volume of storage.root, or remove renders or raise limits.storage_quota_gb if that is reached.',
  ),
  resources_exhausted: entry(
    503,
    14,
    true,
    'Give the machine named more memory, processes or open files, or have less run on it.',
  ),
  access_open: entry(
    500,
    9,
    false,
    'Make a key with `farm key new`, or listen on 127.0.0.1, or let everybody in with auth.open_to_network: true.',
  ),
  config_invalid: entry(500, 9, false, 'Correct what is named, in config.yaml or the environment.'),
  dependency_missing: entry(500, 9, false, 'Install what is named; `farm doctor` lists everything that is missing.'),
  inference_failed: entry(500, 13, true, 'See the worker log; `farm doctor` checks the model and the provider.'),
  tool_failed: entry(
    500,
    13,
    true,
    'See why ffmpeg was killed, hung or did not start: memory, limits, the system log.',
  ),
  encode_failed: entry(500, 13, true, 'See the worker log for what ffmpeg said; `farm doctor` checks ffmpeg.'),
  worker_lost: entry(500, 14, false, 'The job ended its worker every time it was tried; see the worker log.'),
  worker_stuck: entry(
    500,
    14,
    true,
    'See the worker log and check the model named; raise limits.stuck_seconds if the machine is just slow.',
  ),
  no_worker: entry(
    503,
    14,
    true,
    'Start a worker that takes this work, or put one back into service; `farm hosts` shows what there is, models.<id>.needs what a host must have.',
  ),
  farm_host_unknown: entry(404, 5, false, 'Use the name of a host that GET /v1/hosts lists.'),
  farm_host_in_use: entry(409, 9, false, 'Stop the workers of that host first; drain it to have them finish.'),
  gpu_unknown: entry(404, 5, false, 'Use a GPU number that GET /v1/gpus lists.'),
  gpu_taken: entry(409, 6, false, 'Stop the other process, or start this one with another --gpu number.'),
  farm_running: entry(409, 6, false, 'Stop that farm with `farm down`, or set storage.root to another folder.'),
  farm_mismatch: entry(
    409,
    9,
    false,
    'Correct redis.url or storage.root: each farm has a Redis and a folder of its own.',
  ),
  storage_unmarked: entry(409, 9, false, 'Mount the volume, or correct storage.root or redis.url.'),
  gc_running: entry(409, 10, false, 'Wait until that has finished; `farm gc --dry-run` works meanwhile.'),
  farm_not_stopped: entry(
    409,
    9,
    false,
    'Stop it where it was started: on its host, as its user, with SIGTERM or Ctrl-C.',
  ),
  port_taken: entry(409, 6, false, 'Stop what listens there, or set http.port or server.port to another one.'),
  url_invalid: entry(400, 3, false, 'Give the address of a farm, such as http://127.0.0.1:8080.'),
  farm_unreachable: entry(
    503,
    14,
    true,
    'Start the farm with `farm up`, or name the right one with --url or --config.',
  ),
  answer_unexpected: entry(
    502,
    13,
    false,
    'Correct --url or http.port, or use a farm and a command of the same version.',
  ),
  frames_unread: entry(429, 8, false, 'Read the frames of a session while its sound is sent, or set catchUp to SKIP.'),
  input_unreadable: entry(400, 3, false, 'Name one that exists and that this user may read.'),
  checkpoint_unreadable: entry(
    422,
    3,
    false,
    'Copy the file again, or save the state dict alone: torch.save(net.state_dict(), "195.pth").',
  ),
  output_unwritable: entry(400, 9, false, 'Name a file in a folder that exists and that this user may write to.'),
  output_exists: entry(409, 6, false, 'Name another file with --out, or give --force to replace this one.'),
  host_unknown: entry(421, 9, false, 'Use a name that http.allowed_hosts lists, or add this one there.'),
  origin_refused: entry(
    403,
    7,
    false,
    'Use the farm from a page of its own, or list that origin in http.allowed_origins.',
  ),
  address_refused: entry(
    422,
    9,
    false,
    'Name a public address, or have the one that is named allowed in the configuration.',
  ),
  webhooks_off: entry(409, 9, false, 'Set webhooks.secrets in the configuration; docs/webhooks.md says how.'),
  remote_failed: entry(
    502,
    14,
    true,
    'See that the other side runs, can be reached from the farm, and answers in time.',
  ),
  unauthorised: entry(
    401,
    16,
    false,
    'Send a configured API key as `Authorization: Bearer <key>`; commands take --api-key and FARM_API_KEY.',
  ),
  forbidden: entry(403, 7, false, 'Use a key with the role that is named, or give this one that role under auth.keys.'),
  rate_limited: entry(429, 8, true, 'Wait for the time in Retry-After; the limits of a key are under auth.keys.'),
  key_limit_reached: entry(
    429,
    8,
    true,
    'Wait until a render or stream of this key has ended, remove some of what it stores, or raise its limit under auth.keys.',
  ),
  content_type_unsupported: entry(
    415,
    3,
    false,
    'Send JSON as application/json; audio goes to POST /v1/renders as multipart/form-data.',
  ),
  body_too_large: entry(413, 3, false, 'Send a smaller body; audio goes to POST /v1/renders as multipart/form-data.'),
  headers_too_large: entry(431, 3, false, 'Send fewer or shorter headers, and a shorter address.'),
  upgrade_required: entry(426, 9, false, 'Open the address as a WebSocket; docs/realtime.md shows how.'),
  request_timed_out: entry(408, 4, false, 'Send the whole request without long pauses.'),
  method_not_allowed: entry(405, 12, false, 'Use one of the methods that the Allow header names.'),
  not_found: entry(404, 5, false, 'See docs/http-api.md or /openapi.json for the routes of this server.'),
  internal: entry(500, 13, true, 'This is a fault of the farm: please report it with the log lines of this time.'),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

function entry(httpStatus: number, grpcStatus: number, retryable: boolean, remedy: string): CatalogueEntry {
  return { httpStatus, grpcStatus, retryable, remedy };
}
