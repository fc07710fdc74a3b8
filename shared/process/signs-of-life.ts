/**
 * How often a process shows that it is alive, and after how long a silence it is taken for dead. This holds for locks
 * of jobs, heartbeats of workers and liveness keys of live requests, so that another worker takes lost work over within
 * seconds. The thread that renews them never computes, so it misses two only when something is very wrong. If it is
 * alive after all, its work is done twice, to the same bytes.
 */
export const ALIVE_EVERY_MS = 1000;
export const DEAD_AFTER_MS = 3000;
