/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library reports by itself: bpfrefs_options.log. */
#include "snapshot/private.h"

bool ctx_logs(const struct bpfrefs_ctx *ctx, enum bpfrefs_log_level level)
{
	return ctx && ctx->log && level <= ctx->log_level;
}

void ctx_log(const struct bpfrefs_ctx *ctx, enum bpfrefs_log_level level, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	if (!ctx_logs(ctx, level))
		return;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	ctx->log(level, text, ctx->log_data);
}

_Static_assert(CLASS_COUNT <= 64, "a bit for each class");

/* What cannot be read from the start on is no news, and part of each answer. */
void ctx_log_classes(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap)
{
	const uint64_t before = ctx->unavailable;

	ctx->unavailable = 0;
	for (unsigned int i = 0; i < snap->classes->len; i++) {
		const struct bpfrefs_class_status *status =
			&g_array_index(snap->classes, struct bpfrefs_class_status, i);
		const bool lost = status->coverage == BPFREFS_COVERAGE_UNAVAILABLE;
		const char *why = status->what ? status->what : g_strerror(status->error);

		ctx->unavailable |= (uint64_t)lost << i;
		if (lost && !(before & 1ull << i))
			ctx_log(ctx, ctx->taken ? BPFREFS_LOG_WARNING : BPFREFS_LOG_DEBUG,
				"holders of class %s cannot be read: %s", status->class_->name,
				why);
		if (!lost && before & 1ull << i)
			ctx_log(ctx, BPFREFS_LOG_INFO, "holders of class %s can be read again",
				status->class_->name);
	}
	ctx->taken = true;
}
