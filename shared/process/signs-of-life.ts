/**
 * How often a process shows that it works on something, and after how long a silence it is taken for dead: the locks of
 * jobs, the heartbeats of workers, the liveness keys of live requests. What was lost is somebody else's within seconds,
 * also a live stream and a short job. The thread that shows it never computes, so two may be missed only when something
 * is very wrong; and should it be alive after all, its work is done twice, to the same bytes.
 */
export const ALIVE_EVERY_MS = 1000;
export const DEAD_AFTER_MS = 3000;
