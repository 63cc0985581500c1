/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a service manager is notified of, by the protocol of sd_notify(3). */
#ifndef SERVICE_H
#define SERVICE_H

#include "fs.h"

struct service;

/*
 * The mount works: sends READY=1 and STATUS= to $NOTIFY_SOCKET, and starts the thread that sends
 * WATCHDOG=1 if $WATCHDOG_USEC asks for it. Without these variables it does nothing, and *out is
 * NULL. What fails is logged, and is no failure of the mount's. @fs is borrowed until service_stop().
 */
void service_start(struct fs *fs, struct service **out);
/* Sends STOPPING=1 and ends the thread. @service may be NULL. */
void service_stop(struct service *service);

#endif
