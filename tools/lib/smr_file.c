// SPDX-License-Identifier: GPL-2.0
/* What writer and reader of recording files share. */
#include "smr_layout.h"

#include <stdarg.h>
#include <stdio.h>

#include "smr_digest.h"

#define PATH_SHOWN	100

const char *smr_file_errstr(const struct smr_err *err)
{
	return err->code ? err->text : "no error";
}

/* UTF-8: bytes that follow the first one, and the lowest number coded with as many. */
static u32 following(u8 first, u32 *lowest)
{
	if (first >= 0xf0 && first <= 0xf4) {
		*lowest = 0x10000;
		return 3;
	}
	if (first >= 0xe0 && first <= 0xef) {
		*lowest = 0x800;
		return 2;
	}
	*lowest = 0x80;
	return first >= 0xc2 && first <= 0xdf;
}

u32 smr_printable_len(const char *text)
{
	const u8 *p = (const u8 *)text;
	u32 i, n, lowest, c;

	if (*p < 0x80)
		return *p >= ' ' && *p <= '~';
	n = following(*p, &lowest);
	if (!n)
		return 0;
	c = *p & (0x3fu >> n);
	for (i = 1; i <= n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	/* 0x80 to 0x9f are control characters, too. */
	if (c < lowest || c < 0xa0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n + 1;
}

bool smr_is_printable(const char *text)
{
	u32 len;

	for (; *text; text += len) {
		len = smr_printable_len(text);
		if (!len)
			return false;
	}
	return true;
}

void smr_make_printable(char *text)
{
	u32 len;

	while (*text) {
		len = smr_printable_len(text);
		if (!len)
			*text = '?';
		text += len ? len : 1;
	}
}

int smr_fail(struct smr_err *err, int code, const char *path, u64 offset, const char *fmt, ...)
{
	int sys_errno = code == SMR_FILE_EIO ? errno : 0;
	size_t path_len = strlen(path);
	va_list args;
	int n;

	if (!err)
		return code;
	err->code = code;
	err->sys_errno = sys_errno;
	err->offset = offset;
	if (path_len > PATH_SHOWN)
		n = snprintf(err->text, sizeof(err->text), "...%s: ",
			     path + path_len - PATH_SHOWN);
	else
		n = snprintf(err->text, sizeof(err->text), "%s: ", path);
	va_start(args, fmt);
	n += vsnprintf(err->text + n, sizeof(err->text) - (size_t)n, fmt, args);
	va_end(args);
	if (sys_errno && (size_t)n < sizeof(err->text))
		snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s",
			 strerror(sys_errno));
	smr_make_printable(err->text);
	return code;
}

const char *smr_segment_name(u8 type)
{
	switch (type) {
	case SMR_SEG_BLOB:
		return "blob";
	case SMR_SEG_RAM:
		return "ram";
	case SMR_SEG_INITIAL_END:
		return "initial-end";
	case SMR_SEG_STREAM:
		return "stream";
	case SMR_SEG_TRAILER:
		return "trailer";
	case SMR_SEG_NOTES:
		return "notes";
	}
	return "unknown";
}

void smr_uuid_text(const u8 uuid[16], char text[SMR_UUID_TEXT])
{
	int i, n = 0;

	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[n++] = '-';
		n += snprintf(text + n, SMR_UUID_TEXT - (size_t)n, "%02x", uuid[i]);
	}
}

u64 smr_segment_chain(u64 chain, const u8 header[SMR_SEGMENT_HEADER_SIZE])
{
	u64 crcs = get_le(header + S_PAYLOAD_CRC, 4) << 32 | get_le(header + S_CRC, 4);

	return smr_chain(chain, crcs);
}

bool smr_blob_name_ok(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	}
	return len >= 1 && len <= SMR_BLOB_NAME_MAX;
}

bool smr_is_end(u8 type)
{
	return type == SMR_VCPU_END || type == SMR_VM_END;
}

bool smr_type_fits_stream(u8 type, bool vm_stream)
{
	if (vm_stream)
		return type == SMR_DMA || type == SMR_DMA_REF || type == SMR_MAP ||
		       type == SMR_VM_START || type == SMR_VM_END;
	return type == SMR_CHUNK || type == SMR_SECTION || type == SMR_STATE || type == SMR_VCPU_END;
}
