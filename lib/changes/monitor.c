/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes a snapshot at each interval, and returns what changed since the one before. */
#include <sys/timerfd.h>

#include "changes/change.h"

struct bpfrefs_monitor {
	struct bpfrefs_ctx *ctx;
	int timer;
	struct bpfrefs_baseline *last;
	uint64_t number; /* of the newest change */
};

static int take(struct bpfrefs_monitor *monitor, struct bpfrefs_snapshot **snap,
		struct bpfrefs_baseline **now)
{
	int err = bpfrefs_snapshot_take(monitor->ctx, snap);

	if (err)
		return err;
	err = bpfrefs_baseline_new(*snap, 0, now);
	if (err)
		bpfrefs_snapshot_unref(*snap);
	return err;
}

int bpfrefs_monitor_open(struct bpfrefs_ctx *ctx, unsigned int interval_ms,
			 struct bpfrefs_monitor **out)
{
	struct timespec interval = { interval_ms / 1000, (long)(interval_ms % 1000) * 1000000 };
	struct itimerspec timer = { interval, interval };
	struct bpfrefs_snapshot *snap;
	struct bpfrefs_monitor *monitor;
	int err;

	if (!interval_ms)
		return -EINVAL;
	monitor = g_new0(struct bpfrefs_monitor, 1);
	monitor->ctx = ctx;
	monitor->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	err = monitor->timer < 0 || timerfd_settime(monitor->timer, 0, &timer, NULL) ? -errno : 0;
	if (!err)
		err = take(monitor, &snap, &monitor->last);
	if (err) {
		bpfrefs_monitor_close(monitor);
		return err;
	}
	bpfrefs_snapshot_unref(snap);
	*out = monitor;
	return 0;
}

int bpfrefs_monitor_fd(const struct bpfrefs_monitor *monitor)
{
	return monitor->timer;
}

int bpfrefs_monitor_next(struct bpfrefs_monitor *monitor, struct bpfrefs_change **change)
{
	struct bpfrefs_baseline *now;
	struct bpfrefs_snapshot *snap;
	uint64_t expirations;
	int err;

	*change = NULL;
	/* EAGAIN: the caller does not wait for the interval. */
	if (read(monitor->timer, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return -errno;
	err = take(monitor, &snap, &now);
	if (err)
		return err;
	*change = bpfrefs_change_new(monitor->ctx, monitor->last, now, snap, monitor->number + 1);
	bpfrefs_snapshot_unref(snap);
	if (!*change) {
		bpfrefs_baseline_free(now);
		return 0;
	}
	monitor->number++;
	bpfrefs_baseline_free(monitor->last);
	monitor->last = now;
	return 1;
}

void bpfrefs_monitor_close(struct bpfrefs_monitor *monitor)
{
	if (!monitor)
		return;
	if (monitor->timer >= 0)
		close(monitor->timer);
	bpfrefs_baseline_free(monitor->last);
	g_free(monitor);
}
