/* SPDX-License-Identifier: Apache-2.0
 *
 * What libmakini and the broker say to each other on NAME.client.sock, and the page that
 * they share. For these two only: not installed, and free to change with WIRE_VERSION.
 *
 * A SOCK_SEQPACKET connection, one frame a packet, numbers little-endian, no padding. The
 * client sends HELLO first, then either GET after GET, each once the one before it was
 * answered, or one WATCH. A frame that breaks this closes the connection.
 *
 *   to the broker    u8 WIRE_VERSION, u8 type, u16 0, u32 number of the ask; then
 *     HELLO, WATCH   nothing
 *     GET            u8 length, the connection's name
 *   to the client    u8 WIRE_VERSION, u8 type, u16 status (0, or a MAKINI_E… of client.h without its
 *                    sign), u32 number of the ask (CHANGED: 0); then, where status is not 0,
 *                    u32 seconds to wait before the next ask (0: not said), and nothing more; else
 *     HELLO          with the page's descriptor (SCM_RIGHTS): u32 words in it, u8 length, the environment
 *     GET            u32 index of its word, u64 the word's value when it was decided, i64 good until (ns of
 *                    CLOCK_BOOTTIME), i64 expires (ms since 1970, INT64_MIN: never or unknown), u32 age
 *                    in seconds, u8 flags, u8 length and version, u8 length and token type, u16 length and token
 *     WATCH          nothing
 *     CHANGED        nothing: some word of the page has moved on since the last. Unasked, after WATCH
 *
 * The page: one memfd of WIRE_PAGE bytes for each service, sealed, so that only the broker that made its
 * mapping before the seal can write it. A copy of a token may be used while now < its `good until`, now <
 * valid_until (both CLOCK_BOOTTIME), and its word still has the value that came with it. To whom valid_until is more than
 * ahead_ms away has another clock (a time namespace), and may use none. A word only ever goes up; names may share one. The
 * broker moves words on before it says that an act is done.
 */
#ifndef MAKINI_WIRE_H
#define MAKINI_WIRE_H

#include <stdint.h>

#define WIRE_VERSION     1u
#define WIRE_ASK_MAX     128u   /* bytes of a frame to the broker */
#define WIRE_ANSWER_MAX  17408u /* and to the client */
#define WIRE_PAGE        4096u
#define WIRE_PAGE_MAGIC  0x47504b4du /* "MKPG" */
#define WIRE_WORDS       504u
#define WIRE_AHEAD_MS    3000u
#define WIRE_STALE       1u     /* flags of GET */

enum wire_type { WIRE_HELLO = 1, WIRE_GET = 2, WIRE_WATCH = 3, WIRE_CHANGED = 4 };

/* As it lies in the page. valid_until and words are read and written as atomics. */
struct wire_page {
	uint32_t magic, version, words, ahead_ms;
	uint64_t valid_until; /* ns of CLOCK_BOOTTIME; renewed each second, three seconds ahead; 0: not valid, ask again */
	uint64_t unused2[5];
	uint64_t word[WIRE_WORDS];
};
_Static_assert(sizeof(struct wire_page) == WIRE_PAGE, "one page");

#endif
