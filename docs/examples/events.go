// SPDX-License-Identifier: LGPL-2.1-or-later

// Logs every change of what holds BPF objects, in the form of log/slog: go run events.go
package main

/*
#cgo pkg-config: bpfrefs
#include <bpfrefs.h>
#include <poll.h>

static void wait(const struct bpfrefs_monitor *monitor)
{
	struct pollfd fd = { .fd = bpfrefs_monitor_fd(monitor), .events = POLLIN };

	while (poll(&fd, 1, -1) < 0) // EINTR: Go's runtime sends signals
		continue;
}
*/
import "C"

import (
	"fmt"
	"log"
	"syscall"
)

var words = []string{"added", "removed", "state", "coverage"}

func check(err C.int) {
	if err < 0 {
		log.Fatalln("events:", syscall.Errno(-err))
	}
}

func logItems(change *C.struct_bpfrefs_change) {
	var items *C.struct_bpfrefs_selection
	check(C.bpfrefs_select_changes(change, nil, &items))
	for item := C.bpfrefs_next_change(items); item != nil; item = C.bpfrefs_next_change(items) {
		fmt.Printf("msg=%s text=%q\n", words[item._type], C.GoStringN(item.text, C.int(item.length)))
	}
	C.bpfrefs_selection_free(items)
}

func main() {
	var ctx *C.struct_bpfrefs_ctx
	var monitor *C.struct_bpfrefs_monitor
	var change *C.struct_bpfrefs_change
	check(C.bpfrefs_ctx_open(nil, &ctx))
	check(C.bpfrefs_monitor_open(ctx, 500, &monitor))
	for fmt.Println("msg=ready"); ; C.bpfrefs_change_free(change) {
		C.wait(monitor)
		if check(C.bpfrefs_monitor_next(monitor, &change)); change != nil {
			logItems(change)
		}
	}
}
