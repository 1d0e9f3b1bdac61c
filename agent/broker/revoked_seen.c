/* SPDX-License-Identifier: Apache-2.0
 *
 * What stores have of a revoked connection. What was in memory when it was revoked may be
 * an older value than the store's, or none; so the store is asked, again after a failure
 * and after a restart, until it has said once what it has: that is dead, too. What it says
 * later is another value, which is not kept either, but may be served after a restore.
 */
#include "agent/broker/acts_revoke.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/core.h"
#include "agent/broker/fetch.h"
#include "agent/broker/record.h"

#define AGAIN_MS INT64_C(10000) /* between questions that came to nothing */
#define FLIGHTS  32u            /* of the agent's own, under way at one time */
#define A_TICK   8u

static uint8_t bit(enum mk_slot slot)
{
	return (uint8_t)(1u << slot);
}

static void ask(struct mk_broker *b, struct mk_dead *dead)
{
	dead->asked_ms = mk_boot_ms();
	for (unsigned slot = MK_SLOT_PREVIOUS + 1; slot-- > 0;) {
		const struct mk_flight_key key = { MK_FLIGHT_GET, dead->name, slot == MK_SLOT_PREVIOUS };
		if (dead->unseen & bit((enum mk_slot)slot))
			mk_fetch_start(b, &key, b->nobody.own_uid);
	}
}

void mk_revoked_ask(struct mk_broker *b, const struct mk_name *name)
{
	struct mk_dead *dead = mk_revoked_name(&b->revoked, name);
	if (dead)
		ask(b, dead);
}

static void ask_again(struct mk_broker *b)
{
	const int64_t now = mk_boot_ms();
	size_t busy = mk_flights_of_uid(b->flights, b->nobody.own_uid), left = A_TICK;
	if (!b->fetcher || b->other_stores || b->draining || mk_fetch_failing(b))
		return;
	for (size_t i = 0; i < b->revoked.n_names && left > 0 && busy < FLIGHTS; i++) {
		struct mk_dead *dead = &b->revoked.names[i];
		if (!dead->unseen || (dead->asked_ms != 0 && now - dead->asked_ms < AGAIN_MS))
			continue;
		ask(b, dead);
		left--;
		busy += 2;
	}
}

/* Many at once, as each change waits for the disk. Where it fails they stay due. */
static void write_due(struct mk_broker *b)
{
	struct mk_seen seen[MK_REVOKE_MAX];
	struct mk_dead *of[MK_REVOKE_MAX];
	size_t n = 0;
	for (size_t i = 0; i < b->revoked.n_names && n < MK_REVOKE_MAX; i++) {
		struct mk_dead *dead = &b->revoked.names[i];
		if (!dead->due)
			continue;
		seen[n] = (struct mk_seen){ dead->name, dead->unseen };
		of[n++] = dead;
	}
	if (n == 0 || !b->db || mk_statedb_seen(b->db, seen, n, NULL) != MK_OK)
		return;
	for (size_t i = 0; i < n; i++)
		of[i]->due = false;
	mk_audit_state(b->audit, mk_statedb_generation(b->db));
}

void mk_revoked_tick(struct mk_broker *b)
{
	ask_again(b);
	write_due(b);
}

/* ---- seen ---- */

static bool print_of(const struct mk_broker *b, const struct mk_fetched *f, uint8_t ret[MK_PRINT])
{
	struct mk_record r;
	if (f->disabled || !b->statekey || mk_record_of(f->leaves, 0, &r, NULL) != MK_OK)
		return false;
	mk_statekey_print(b->statekey, r.token, ret);
	return true;
}

static void seen(struct mk_dead *dead, enum mk_slot slot)
{
	dead->unseen &= (uint8_t)~bit(slot);
	dead->due = true;
}

/* One that was not known: memory first, then the disk, at once. Where that fails, it is looked up again. */
static void retire(struct mk_broker *b, struct mk_dead *dead, enum mk_slot slot, const struct mk_retired *value)
{
	const struct mk_seen left = { dead->name, (uint8_t)(dead->unseen & ~bit(slot)) };
	mk_revoked_retire(&b->revoked, value);
	dead->failed = !b->db || mk_statedb_seen(b->db, &left, 1, value) != MK_OK;
	if (dead->failed) {
		mk_log(MK_ERROR, "revocation_not_kept", MK_KV_S("connection", dead->name.s), MK_KV_S("fault", b->db ? mk_statedb_fault(b->db) : ""),
		       MK_KV_S("remedy", "the connection is revoked, but what the store has of it will not be known again until the disk takes it: make room"));
	} else {
		dead->unseen = left.unseen;
		mk_audit_state(b->audit, mk_statedb_generation(b->db));
	}
	mk_revoked_clear_twins(b, &dead->name);
}

bool mk_revoked_take(struct mk_broker *b, const struct mk_fetched *f)
{
	struct mk_dead *dead = mk_revoked_name(&b->revoked, &f->name);
	if (!dead)
		return false;
	if (!(dead->unseen & bit(f->slot)))
		return true;
	struct mk_retired v = { .name = dead->name, .at_ms = mk_wall_ms() };
	if (!print_of(b, f, v.print) || (mk_revoked_value(&b->revoked, v.print) && !dead->failed))
		seen(dead, f->slot);
	else if (mk_revoked_room(&b->revoked, 0, 1) == MK_OK)
		retire(b, dead, f->slot, &v);
	return true;
}

void mk_revoked_absent(struct mk_broker *b, const struct mk_name *name, enum mk_slot slot)
{
	struct mk_dead *dead = mk_revoked_name(&b->revoked, name);
	if (!dead || !(dead->unseen & bit(slot)))
		return;
	if (slot == MK_SLOT_CURRENT && mk_revoked_values_of(&b->revoked, name) == 0)
		mk_log(MK_WARN, "revoked_not_there", MK_KV_S("connection", name->s),
		       MK_KV_S("remedy", "the store has no such connection: was another one meant?"));
	seen(dead, slot);
}

void mk_revoked_look(struct mk_broker *b, const struct mk_fetched *f)
{
	const struct mk_entry *e = mk_store_find(b->store, &f->name);
	if (f->slot != MK_SLOT_CURRENT || !e || f->disabled)
		return; /* that the version before the current one is dead is as it should be */
	if (!mk_revoked_value(&b->revoked, e->at[f->slot].print)) {
		mk_alarm_clear(b, MK_ALARM_RETIRED_VALUE_BACK, f->name.s);
		return;
	}
	const struct mk_audit_rec rec = { .event = "alarm", .connection = f->name.s, .version = f->version, .rule_line = -1,
					  .reason = mk_alarm_word(MK_ALARM_RETIRED_VALUE_BACK), .detail = "not handed out" };
	mk_alarm_raise(b, MK_ALARM_RETIRED_VALUE_BACK, f->name.s);
	mk_ignore(mk_audit_write(b->audit, &rec), "it is not handed out either way, and the alarm stands");
}
