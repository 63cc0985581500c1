/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links only if clang has the runtime of libFuzzer. */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return data == NULL && size;
}
