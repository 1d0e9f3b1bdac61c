/* SPDX-License-Identifier: Apache-2.0
 *
 * A line is "number:controllers:path". systemd's tree is "0::" (cgroup v2) or
 * "N:name=systemd:" (v1); a hybrid host has both, and then they must agree: a process
 * that is in one place here and in another there was not put there by systemd alone.
 */
#include "agent/broker/cgroup.h"

#include <string.h>

#define SERVICE ".service"
#define SLICE   ".slice"

static bool ends_in(struct mk_span s, const char *suffix)
{
	const size_t n = strlen(suffix);
	return s.n > n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

/* Cuts what stands before `end` off *rest, and `end` too. False where there is none: then it is all of *rest. */
static bool cut(struct mk_span *rest, char end, struct mk_span *ret)
{
	const uint8_t *at = rest->n ? memchr(rest->p, end, rest->n) : NULL;
	*ret = mk_span(rest->p, at ? (size_t)(at - rest->p) : rest->n);
	*rest = at ? mk_span(at + 1, rest->n - ret->n - 1) : mk_span(NULL, 0);
	return at != NULL;
}

static bool is_unit_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != 0 && strchr(":-_.\\@", c));
}

bool mk_unit_is_service(struct mk_span name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!is_unit_char(name.p[i]))
			return false;
	return name.n <= MK_UNIT_MAX && ends_in(name, SERVICE);
}

/* systemd puts a '_' before names that the kernel could take for its own files. */
static struct mk_span unescaped(struct mk_span component)
{
	return component.n && component.p[0] == '_' ? mk_span(component.p + 1, component.n - 1) : component;
}

/* a.slice holds a-b.slice holds a-b-c.slice: one part more each. above: "" or the last one's name without its suffix. */
static bool slice_follows(struct mk_span above, struct mk_span stem)
{
	if (above.n) {
		if (stem.n <= above.n || memcmp(stem.p, above.p, above.n) != 0 || stem.p[above.n] != '-')
			return false;
		stem = mk_span(stem.p + above.n + 1, stem.n - above.n - 1);
	}
	return stem.n > 0 && !memchr(stem.p, '-', stem.n);
}

/* "" in *ret where the path leads to no system service. */
static struct mk_span service_of(struct mk_span path)
{
	const struct mk_span none = { NULL, 0 };
	struct mk_span part, above = { NULL, 0 };
	if (ends_in(path, " (deleted)") || !cut(&path, '/', &part) || part.n > 0)
		return none; /* gone, or not from the root */
	while (path.n) {
		cut(&path, '/', &part);
		part = unescaped(part);
		if (!ends_in(part, SLICE))
			return mk_unit_is_service(part) ? part : none; /* the first below the slices, or nothing */
		part.n -= strlen(SLICE);
		if (!slice_follows(above, part))
			return none;
		above = part;
	}
	return none;
}

/* The controllers field of systemd's own trees. */
static bool is_systemds(struct mk_span number, struct mk_span controllers)
{
	return mk_span_is(controllers, "name=systemd") || (controllers.n == 0 && mk_span_is(number, "0"));
}

void mk_cgroup_unit(struct mk_span text, char unit[MK_UNIT_MAX + 1])
{
	struct mk_span line, number, controllers, found = { NULL, 0 };
	unit[0] = '\0';
	while (text.n) {
		if (!cut(&text, '\n', &line) || memchr(line.p, '\0', line.n) || !cut(&line, ':', &number) ||
		    !cut(&line, ':', &controllers))
			return; /* cut off, or nothing that the kernel writes */
		if (!is_systemds(number, controllers) || mk_span_is(line, "/"))
			continue; /* at the root: nobody has put it anywhere in this tree */
		const struct mk_span here = service_of(line);
		if (here.n == 0 || (found.n && !mk_span_eq(found, here)))
			return;
		found = here;
	}
	if (found.n) {
		memcpy(unit, found.p, found.n);
		unit[found.n] = '\0';
	}
}
