/* SPDX-License-Identifier: Apache-2.0
 *
 * What a token that is signed says (RFC 7519, 4.1, and Kubernetes's own claim). It may
 * be a genuine one of another audience, another pod or another time; a legacy token of
 * a Secret has neither pod nor end, and is none of ours.
 */
#include "agent/token/token_.h"

#include <stdio.h>

#define SECOND 1000
#define TIME_MAX INT64_C(253402300799) /* the year 9999 */
#define SUBJECT "system:serviceaccount:"
#define TEXT_MAX 512u

static const json_t *at(const json_t *j, const char *key)
{
	return json_object_get(j, key);
}

static bool is(const json_t *j, const char *what)
{
	return what[0] && mk_span_is(mk_token_text_(j, TEXT_MAX), what);
}

/* Ours and no other: a token that is for others as well could be shown to us by any of them. A projected volume asks
 * for one audience, so nobody loses by it. */
static bool for_us(const json_t *aud, const char *audience)
{
	return json_is_array(aud) ? json_array_size(aud) == 1 && is(json_array_get(aud, 0), audience) : is(aud, audience);
}

/* False: it is there and no time. */
static bool time_of(const json_t *j, int64_t *ret)
{
	if (!j)
		return true;
	const int64_t s = json_is_integer(j) ? json_integer_value(j) : -1;
	if (s < 0 || s > TIME_MAX)
		return false;
	*ret = s * SECOND;
	return true;
}

static enum mk_token_verdict in_time(const json_t *claims, int64_t now_ms, int64_t *ret_expires)
{
	int64_t expires = -1, not_before = 0, issued = 0;
	if (!time_of(at(claims, "exp"), &expires) || !time_of(at(claims, "nbf"), &not_before) || !time_of(at(claims, "iat"), &issued) ||
	    expires < 0)
		return MK_TOKEN_CLAIMS;
	if (now_ms >= expires + MK_TOKEN_SKEW_MS)
		return MK_TOKEN_EXPIRED;
	if (now_ms < not_before - MK_TOKEN_SKEW_MS || now_ms < issued - MK_TOKEN_SKEW_MS)
		return MK_TOKEN_NOT_YET;
	*ret_expires = expires;
	return MK_TOKEN_GOOD;
}

/* Lower-case letters, digits, hyphens and, where it may, dots: what Kubernetes lets be a name. */
static bool name_of(const json_t *j, bool dots, size_t max, char *ret)
{
	const struct mk_span s = mk_token_text_(j, max);
	for (size_t i = 0; i < s.n; i++) {
		const uint8_t c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || (dots && c == '.')))
			return false;
	}
	if (s.n == 0)
		return false;
	memcpy(ret, s.p, s.n);
	ret[s.n] = '\0';
	return true;
}

static bool whose(const json_t *claims, struct mk_account *ret)
{
	const json_t *k = at(claims, "kubernetes.io");
	char subject[sizeof SUBJECT + MK_K8S_NAMESPACE_MAX + 1 + MK_K8S_ACCOUNT_MAX];
	if (!name_of(at(k, "namespace"), false, MK_K8S_NAMESPACE_MAX, ret->ns) ||
	    !name_of(at(at(k, "serviceaccount"), "name"), true, MK_K8S_ACCOUNT_MAX, ret->name))
		return false;
	snprintf(subject, sizeof subject, SUBJECT "%s:%s", ret->ns, ret->name);
	return is(at(claims, "sub"), subject);
}

enum mk_token_verdict mk_token_claims_(const json_t *claims, const struct mk_token_want *want, int64_t now_ms, struct mk_token_who *ret)
{
	struct mk_token_who who = { .expires_ms = 0 };
	if (!is(at(claims, "iss"), want->issuer))
		return MK_TOKEN_ISSUER;
	if (!for_us(at(claims, "aud"), want->audience))
		return MK_TOKEN_AUDIENCE;
	const enum mk_token_verdict v = in_time(claims, now_ms, &who.expires_ms);
	if (v != MK_TOKEN_GOOD)
		return v;
	if (!whose(claims, &who.account))
		return MK_TOKEN_CLAIMS;
	if (!is(at(at(at(claims, "kubernetes.io"), "pod"), "uid"), want->pod_uid))
		return MK_TOKEN_POD;
	*ret = who;
	return MK_TOKEN_GOOD;
}
