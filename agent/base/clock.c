/* SPDX-License-Identifier: Apache-2.0
 *
 * Clocks and RFC 3339. The calendar is computed here and not by gmtime or timegm: those
 * read the zone file at first use, which after the lock-down they cannot.
 * A leap second (23:59:60 UTC) is read as the second before it.
 */
#include "agent/base/clock.h"

#include <time.h>

#define DAYS_TO_1970 719528 /* from 0000-01-01, proleptic Gregorian */
#define YEAR_MAX     9999
#define DAY_S        86400

static const int64_t *fake_boot, *fake_wall;

static int64_t now_ms(clockid_t clock)
{
	struct timespec t;
	const int rc = clock_gettime(clock, &t);
	mk_assert(rc == 0);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t mk_boot_ms(void)
{
	return fake_boot ? *fake_boot : now_ms(CLOCK_BOOTTIME);
}

int64_t mk_boot_us(void)
{
	struct timespec t;
	const int rc = clock_gettime(CLOCK_BOOTTIME, &t);
	mk_assert(rc == 0);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t mk_wall_ms(void)
{
	return fake_wall ? *fake_wall : now_ms(CLOCK_REALTIME);
}

void mk_clock_fake(const int64_t *boot_ms, const int64_t *wall_ms)
{
	fake_boot = boot_ms;
	fake_wall = wall_ms;
}

static bool is_leap(int y)
{
	return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

static int month_days(int y, int m)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	return days[m - 1] + (m == 2 && is_leap(y));
}

/* Days from 1970-01-01 to the first of January of y, which is at least 0. */
static int64_t year_start(int y)
{
	return (int64_t)y * 365 + (y + 3) / 4 - (y + 99) / 100 + (y + 399) / 400 - DAYS_TO_1970;
}

static int64_t days_of(int y, int m, int d)
{
	int64_t days = year_start(y) + d - 1;
	for (int i = 1; i < m; i++)
		days += month_days(y, i);
	return days;
}

static char *put_number(char *at, unsigned n, unsigned digits)
{
	for (unsigned i = digits; i-- > 0; n /= 10)
		at[i] = (char)('0' + n % 10);
	return at + digits;
}

void mk_rfc3339(int64_t wall_ms, bool with_ms, char out[MK_RFC3339_MAX])
{
	out[0] = '\0';
	if (wall_ms < 0 || wall_ms >= year_start(YEAR_MAX + 1) * DAY_S * 1000)
		return;
	const int ms = (int)(wall_ms % 1000), s = (int)(wall_ms / 1000 % DAY_S);
	int64_t days = wall_ms / 1000 / DAY_S;
	int y = 1970 + (int)(days / 366), m = 1;
	while (year_start(y + 1) <= days)
		y++;
	days -= year_start(y);
	for (; days >= month_days(y, m); m++)
		days -= month_days(y, m);
	const struct {
		int n;
		unsigned digits;
		char after;
	} parts[] = { { y, 4, '-' }, { m, 2, '-' }, { (int)days + 1, 2, 'T' }, { s / 3600, 2, ':' }, { s / 60 % 60, 2, ':' },
		      { s % 60, 2, with_ms ? '.' : 'Z' }, { ms, 3, 'Z' } };
	char *at = out;
	for (int i = 0; i < (with_ms ? 7 : 6); i++) {
		at = put_number(at, (unsigned)parts[i].n, parts[i].digits);
		*at++ = parts[i].after;
	}
	*at = '\0';
}

struct scan {
	const uint8_t *p;
	size_t n;
	bool bad;
};

static int scan_digits(struct scan *s, unsigned n, int min, int max)
{
	int v = 0;
	for (unsigned i = 0; i < n; i++) {
		if (s->n == 0 || *s->p < '0' || *s->p > '9') {
			s->bad = true;
			s->n = 0;
			return min;
		}
		v = v * 10 + (*s->p - '0');
		s->p++;
		s->n--;
	}
	if (v >= min && v <= max)
		return v;
	s->bad = true;
	return min;
}

/* One character out of set; '\0' where it is none of them. */
static char scan_one(struct scan *s, const char *set)
{
	if (s->n == 0 || *s->p == '\0' || !strchr(set, *s->p)) {
		s->bad = true;
		return '\0';
	}
	s->n--;
	return (char)*s->p++;
}

static int scan_fraction(struct scan *s)
{
	if (s->n == 0 || *s->p != '.')
		return 0;
	scan_one(s, ".");
	int ms = 0, place = 100;
	do {
		ms += scan_digits(s, 1, 0, 9) * place;
		place /= 10;
	} while (s->n > 0 && *s->p >= '0' && *s->p <= '9');
	return ms;
}

/* Seconds to take from the local time. */
static int scan_offset(struct scan *s)
{
	const char sign = scan_one(s, "Zz+-");
	if (sign == 'Z' || sign == 'z')
		return 0;
	const int h = scan_digits(s, 2, 0, 23);
	scan_one(s, ":");
	const int m = scan_digits(s, 2, 0, 59);
	return (sign == '-' ? -60 : 60) * (h * 60 + m);
}

mk_must mk_rfc3339_parse(struct mk_span text, int64_t *ret_ms)
{
	struct scan s = { text.p, text.n, false };
	const int y = scan_digits(&s, 4, 0, YEAR_MAX);
	scan_one(&s, "-");
	const int mon = scan_digits(&s, 2, 1, 12);
	scan_one(&s, "-");
	const int d = scan_digits(&s, 2, 1, month_days(y, mon));
	scan_one(&s, "Tt");
	const int h = scan_digits(&s, 2, 0, 23);
	scan_one(&s, ":");
	const int min = scan_digits(&s, 2, 0, 59);
	scan_one(&s, ":");
	const int sec = scan_digits(&s, 2, 0, 60);
	const int ms = scan_fraction(&s);
	int64_t t = days_of(y, mon, d) * DAY_S + h * 3600 + min * 60 - scan_offset(&s);
	if (s.bad || s.n > 0)
		return MK_BAD_REQUEST;
	const bool last_minute = (t % DAY_S + DAY_S) % DAY_S == DAY_S - 60;
	if (sec == 60 && !last_minute)
		return MK_BAD_REQUEST;
	t += sec == 60 ? 59 : sec;
	*ret_ms = t * 1000 + ms;
	return MK_OK;
}
